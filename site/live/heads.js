// Heads fitted in the page: logistic regression as scikit-learn's LogisticRegression() fits it, and Wilson's interval.

export function softmax(scores) {
  const most = Math.max(...scores), shares = scores.map((score) => Math.exp(score - most));
  const sum = shares.reduce((a, b) => a + b, 0);
  return shares.map((share) => share / sum);
}

// What a head (a row of weights for each class, the last one its bias) makes of a vector.
export function probabilities(head, vector) {
  return softmax(head.map((row) => vector.reduce((sum, value, i) => sum + value * row[i], row[vector.length])));
}

function dot(a, b, length = a.length) {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += a[i] * b[i];
  return sum;
}

// The best weights are sums of the examples. So with few examples of many numbers the head is fitted in as many directions
// as there are examples, by the lower triangle L of Cholesky, L L' = X X', and its weights are brought back.
export function fitted(vectors, labels, classes) {
  const count = vectors.length, many = vectors[0].length;
  if (count >= many) return smallest(vectors, labels, classes);
  const lower = vectors.map(() => new Float64Array(count));
  for (let i = 0; i < count; i++) {
    for (let j = 0; j <= i; j++) {
      const rest = dot(vectors[i], vectors[j]) - dot(lower[i], lower[j], j);
      lower[i][j] = i === j ? Math.sqrt(Math.max(rest, 1e-6)) : rest / lower[j][j];
    }
  }
  return smallest(lower, labels, classes).map((row) => {
    const parts = row.slice(0, count), weights = new Float64Array(many + 1);
    for (let i = count - 1; i >= 0; i--) {
      parts[i] /= lower[i][i];
      for (let j = 0; j < i; j++) parts[j] -= lower[i][j] * parts[i];
    }
    vectors.forEach((vector, i) => vector.forEach((value, j) => (weights[j] += parts[i] * value)));
    weights[many] = row[count];
    return weights;
  });
}

// The cross-entropy of all examples plus half the squared weights (not the biases), made as small as it gets by L-BFGS.
function smallest(vectors, labels, classes) {
  const many = vectors[0].length, width = many + 1;
  const decay = classes === 2 ? 2 : 1; // scikit-learn has one row for two classes, the difference of these
  function loss(weights) {
    const slope = new Float64Array(weights.length);
    let sum = 0;
    vectors.forEach((vector, n) => {
      const scores = [];
      for (let k = 0; k < classes; k++) {
        let score = weights[k * width + many];
        for (let i = 0, at = k * width; i < many; i++) score += weights[at + i] * vector[i];
        scores.push(score);
      }
      const shares = softmax(scores);
      sum -= Math.log(Math.max(shares[labels[n]], 1e-300));
      for (let k = 0; k < classes; k++) {
        const off = shares[k] - (k === labels[n]);
        for (let i = 0, at = k * width; i < many; i++) slope[at + i] += off * vector[i];
        slope[k * width + many] += off;
      }
    });
    for (let i = 0; i < weights.length; i++) {
      if (i % width === many) continue;
      sum += (decay * weights[i] ** 2) / 2;
      slope[i] += decay * weights[i];
    }
    return [sum, slope];
  }
  let at = new Float64Array(classes * width), [value, slope] = loss(at);
  const past = [];
  for (let step = 0; step < 500 && Math.max(...slope.map(Math.abs)) > 1e-5; step++) {
    const way = slope.map((part) => -part), shares = [];
    for (const { moved, turned, over } of past.toReversed()) {
      const share = dot(moved, way) / over;
      shares.unshift(share);
      for (let i = 0; i < way.length; i++) way[i] -= share * turned[i];
    }
    const last = past.at(-1), scale = last ? last.over / dot(last.turned, last.turned) : 1 / Math.sqrt(dot(slope, slope));
    for (let i = 0; i < way.length; i++) way[i] *= scale;
    past.forEach(({ moved, turned, over }, j) => {
      const share = shares[j] - dot(turned, way) / over;
      for (let i = 0; i < way.length; i++) way[i] += share * moved[i];
    });
    const falls = dot(way, slope);
    let length = 1, next, nextValue, nextSlope;
    do {
      next = at.map((part, i) => part + length * way[i]);
      [nextValue, nextSlope] = loss(next);
      length /= 2;
    } while (nextValue > value + 2e-4 * length * falls && length > 1e-10);
    const moved = next.map((part, i) => part - at[i]), turned = nextSlope.map((part, i) => part - slope[i]);
    const over = dot(moved, turned);
    if (over > 1e-12) past.push({ moved, turned, over });
    if (past.length > 10) past.shift();
    [at, value, slope] = [next, nextValue, nextSlope];
  }
  return Array.from({ length: classes }, (_, k) => at.slice(k * width, (k + 1) * width));
}

// The 95% interval of an accuracy on n examples: tl_helpers.results.mean_interval of one draw.
export function interval(accuracy, n, z) {
  const one = accuracy * (1 - accuracy), share = (z * z) / n;
  const middle = accuracy + share / 2, margin = Math.sqrt(share * one + (share * share) / 4);
  return [(middle - margin) / (1 + share), (middle + margin) / (1 + share)];
}
