// What a picture is most like, or "I don't know": tl_helpers/widgets/nearest.py in JavaScript, where it is explained.

function distance(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return Math.sqrt(sum);
}

// What there is to know of vectors and their labels: the mean of each class (null without pictures), and how far `others` are.
export function learned(vectors, labels, others, classes) {
  const centroids = Array.from({ length: classes }, (_, kind) => {
    const mine = vectors.filter((_, i) => labels[i] === kind);
    return mine.length ? mine[0].map((_, j) => mine.reduce((sum, vector) => sum + vector[j], 0) / mine.length) : null;
  });
  const away = others.flatMap((other) => centroids.filter(Boolean).map((centroid) => distance(other, centroid)));
  const known = { vectors, labels, centroids, far: Math.max(away.sort((a, b) => a - b)[(away.length - 1) >> 1], 1e-6) };
  return { ...known, line: lineBelow(known) };
}

// 1 is the centroid itself, 0 as far from it as something else is.
export function likeness({ centroids, far }, vector) {
  return centroids.map((centroid) => (centroid ? 1 - distance(vector, centroid) / far : -Infinity));
}

// The likeness of each known picture, where the centroid of its own class is that of the others only.
export function leftOut(known) {
  const { vectors, labels, far } = known;
  return vectors.map((vector, i) => {
    const like = likeness(known, vector), kind = labels[i], count = labels.filter((label) => label === kind).length;
    like[kind] = count > 1 ? 1 - ((1 - like[kind]) * count) / (count - 1) : -Infinity;
    return like;
  });
}

function lineBelow(known) {
  const own = leftOut(known).map((like, i) => like[known.labels[i]]).filter(Number.isFinite).sort((a, b) => a - b);
  if (!own.length) return 0.5;
  const place = 0.05 * (own.length - 1), low = Math.floor(place), high = own[Math.min(low + 1, own.length - 1)];
  return Math.max(0, (own[low] + (place - low) * (high - own[low])) / 2);
}

// The class with the largest share, or -1 for "I don't know", where no likeness reaches the line.
export function said(shares, like, line) {
  return Math.max(...like) >= line ? shares.indexOf(Math.max(...shares)) : -1;
}
