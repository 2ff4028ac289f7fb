// The model of an anywidget, as far as the views of tl_helpers/widgets ask for it: it stands for the kernel.
export class Model {
  heard = {};
  constructor(values) {
    this.values = values;
  }
  get(name) {
    return this.values[name];
  }
  set(name, value) {
    this.values[name] = value;
    this.tell(`change:${name}`);
  }
  save_changes() {}
  on(event, act) {
    (this.heard[event] ??= new Set()).add(act);
  }
  off(event, act) {
    this.heard[event]?.delete(act);
  }
  tell(event, ...what) {
    this.heard[event]?.forEach((act) => act(...what));
  }
}
