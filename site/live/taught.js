// What the kernel does for the view of camera.js, done in the page: tl_helpers/widgets/camera.py in JavaScript, with its
// messages and its words. Only the probe is another: logistic regression, as scikit-learn fits it.
import { fitted, interval, probabilities } from "./heads.js";
import { Model } from "./model.js";
import { learned, leftOut, likeness, said } from "./nearest.js";

const plain = (value) => Math.round(1000 * value) / 1000;

export class Taught extends Model {
  pictures = new Map(); // by number: the file as it came, its class, is it of the examination, and what the network makes of it
  made = 0;
  known = null;
  probe = null; // { kinds, head, heldOut }
  turn = Promise.resolve();

  // see: from a file to a vector. others: vectors of something else.
  constructor({ see, others, classes, folds, z, place }) {
    super({ place });
    Object.assign(this, { see, others, folds, z, classes: [...classes] });
    this.changed();
  }

  // One message at a time, and every one gets an answer.
  send(content, _, buffers = []) {
    this.turn = this.turn.then(async () => {
      const answer = { kind: "answer", to: content.kind, view: content.view, n: content.n };
      try {
        Object.assign(answer, await this[`on_${content.kind}`](content, ...buffers));
      } catch (error) {
        answer.words = error.name === "Error" ? error.message : `This stopped with ${error.name}: ${error.message}`;
      }
      this.tell("msg:custom", answer, []);
    });
  }

  chosen(exam, kind = null) {
    return [...this.pictures.values()].filter((one) => one.exam === exam && (kind === null || one.kind === kind));
  }
  // The classes with taught pictures, in the order of their names, as tl.folder has them.
  kinds(least = 0) {
    const found = this.classes.map((_, kind) => kind).filter((kind) => this.chosen(false, kind).length);
    found.sort((i, j) => (this.classes[i] < this.classes[j] ? -1 : 1));
    if (found.length >= least) return found;
    throw new Error(`There are pictures of ${found.length} classes yet, and it takes ${least}: take some of each.`);
  }

  // Work out anew what depends on the pictures, and show it.
  changed() {
    const taught = this.chosen(false), labels = taught.map(({ kind }) => kind), vectors = taught.map(({ vector }) => vector);
    this.known = this.kinds().length > 1 ? learned(vectors, labels, this.others, this.classes.length) : null;
    const exam = this.known ? [...this.pictures].filter(([, one]) => one.exam) : [];
    const answers = exam.map(([key, one]) => [key, one, this.answered(one.vector)[0]]);
    this.set("state", {
      classes: this.classes.map((name, kind) => [name, this.chosen(false, kind).length, this.chosen(true, kind).length]),
      probe: this.probe !== null,
      said: Object.fromEntries(answers.map(([key, { kind }, answer]) => [key, [this.classes[answer] ?? "", answer === kind]])),
      results: this.rows(labels, answers),
      words: "",
    });
  }
  // The class or -1, and what the bars show: likenesses, or of a probe the probabilities.
  answered(vector) {
    const like = likeness(this.known, vector), shares = this.probe ? this.spread(this.probe, vector) : like;
    return [said(shares, like, this.known.line), shares];
  }
  spread({ kinds, head }, vector) {
    const found = probabilities(head, vector), shares = this.classes.map(() => 0);
    kinds.forEach((kind, i) => (shares[kind] = found[i]));
    return shares;
  }
  // A row for the pictures as taught, and one for the examination.
  rows(labels, answers) {
    const rows = [];
    const row = (of, pairs) => {
      const n = pairs.length, right = pairs.filter(([answer, kind]) => answer === kind).length;
      if (!n) return;
      const accuracy = [right / n, ...interval(right / n, n, this.z)].map(plain);
      rows.push({ of, n, right, unknown: pairs.filter(([answer]) => answer < 0).length, accuracy });
    };
    if (this.known) {
      const found = leftOut(this.known).map((like, i) => said(this.probe?.heldOut[i] ?? like, like, this.known.line));
      const judged = (kind) => labels.indexOf(kind) !== labels.lastIndexOf(kind); // not the only one of its class
      row("as taught", found.map((answer, i) => [answer, labels[i]]).filter(([, kind]) => judged(kind)));
    }
    row("examination", answers.map(([, { kind }, answer]) => [answer, kind]));
    return rows;
  }

  // A linear probe on all taught pictures; and what probes fitted without a fifth of them say of that fifth.
  async train() {
    const kinds = this.kinds(2), { vectors, labels } = this.known;
    await new Promise((done) => setTimeout(done, 50)); // for the words to be seen
    const without = (out) => {
      const kept = vectors.map((_, i) => i).filter((i) => !out(i));
      return { kinds, head: fitted(kept.map((i) => vectors[i]), kept.map((i) => kinds.indexOf(labels[i])), kinds.length) };
    };
    const fold = new Array(labels.length).fill(-1), heldOut = labels.map(() => this.classes.map(() => 0));
    for (const kind of kinds) { // fifths in the order of taking, but for single ones
      const mine = labels.flatMap((label, i) => (label === kind ? [i] : []));
      if (mine.length > 1) mine.forEach((i, place) => (fold[i] = Math.floor((place * this.folds) / mine.length)));
    }
    for (const number of new Set(fold.filter((each) => each >= 0))) {
      const probe = without((i) => fold[i] === number);
      fold.forEach((each, i) => each === number && (heldOut[i] = this.spread(probe, vectors[i])));
    }
    this.probe = { ...without(() => false), heldOut };
    this.changed();
    return `A linear probe, trained on ${labels.length} pictures, answers now. It is forgotten when the pictures change.`;
  }
  forget() {
    const had = this.probe !== null;
    this.probe = null;
    return had ? "The pictures have changed: the nearest centroid answers until you train a probe again." : "";
  }
  // What to do after all that was asked before; returns what it returns.
  inTurn(act) {
    const done = this.turn.then(act);
    this.turn = done.catch(() => {});
    return done;
  }

  // What the view asks.
  on_hello() {
    for (const key of this.pictures.keys()) this.show(key);
  }
  show(key) {
    const { kind, exam, file } = this.pictures.get(key);
    this.tell("msg:custom", { kind: "picture", key, class: kind, exam }, [file]);
  }
  async on_frame({ take, exam }, file) {
    const vector = await this.see(file), answer = {};
    if (take !== null) {
      this.pictures.set(++this.made, { file: new Uint8Array(file), kind: take, exam, vector });
      this.show(this.made);
      const words = exam ? "" : this.forget();
      this.changed();
      if (words) answer.words = words;
    }
    if (this.known) {
      const [found, shares] = this.answered(vector);
      answer.name = this.classes[found] ?? "";
      answer.bars = shares.map((value) => plain(Math.max(0, value)));
      answer.line = this.probe ? null : this.known.line;
    }
    return answer;
  }
  on_delete({ key }) {
    const words = this.remove(key);
    this.changed();
    return { words };
  }
  remove(key) {
    const picture = this.pictures.get(key);
    if (!this.pictures.delete(key)) return "";
    this.tell("msg:custom", { kind: "gone", key }, []);
    return picture.exam ? "" : this.forget();
  }
  on_new_examination() {
    for (const [key, { exam }] of this.pictures) if (exam) this.remove(key);
    this.changed();
    return { words: "" };
  }
  async on_probe() {
    if (this.probe === null) return { words: await this.train() };
    this.forget();
    this.changed();
    return { words: "The nearest centroid answers again." };
  }
  on_add() {
    let number = this.classes.length + 1;
    while (this.classes.includes(`class ${number}`)) number++;
    this.classes.push(`class ${number}`);
    this.changed();
    return { words: `There is a class more, called class ${number}: give it a name of yours.` };
  }
  on_rename({ class: kind, name: wanted }) {
    const name = wanted.trim(), others = this.classes.filter((_, i) => i !== kind), same = (other) => other.toLowerCase() === name.toLowerCase();
    if (!name || [...name].length > 40 || /[<>:"/\\|?*\x00-\x1f]|^\.|\.$/.test(name)) {
      throw new Error(`A class's name is a text of at most 40 characters that a folder can have too; not '${name}'.`);
    }
    if (others.some(same)) throw new Error(`Two classes cannot both be called '${name}'.`);
    if (name === this.classes[kind]) return {};
    this.classes[kind] = name;
    this.forget(); // it knows the class by its old name
    this.changed();
    return { words: "" };
  }

  // What is taken along: [name, bytes] of each picture, in folders as tl.folder reads them.
  files() {
    const counts = {};
    return [...this.pictures.values()].map(({ file, kind, exam }) => {
      const folder = `${exam ? "test" : "train"}/${this.classes[kind]}`, number = (counts[folder] = (counts[folder] ?? 0) + 1);
      return [`${folder}/camera-${String(number).padStart(4, "0")}.jpg`, file];
    });
  }
}
