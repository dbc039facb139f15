// An interactive scatter plot: hover, click, keys, choice of axes, log scale, filters.

class Plot {
  constructor(root, data) {
    Object.assign(this, { root, data, hidden: new Set(), current: null, points: [] });
    this.x = data.x[0];
    this.y = data.y[0];
    this.log = false;
    this.frontPerFamily = data.filter === "run";
    this.build();
    new ResizeObserver(() => this.draw()).observe(this.stage);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.draw();
  }

  build() {
    const { data } = this;
    const choose = (axis, indices, set, value) => {
      const options = indices.map((i) => el("option", { value: i, selected: i === value }, data.axes[i].name));
      const select = el("select", { "data-choose": axis }, ...options);
      select.addEventListener("change", () => { set(Number(select.value)); this.move(null); this.draw(); });
      return el("label", {}, `${axis} axis `, select);
    };
    const tick = (name, key, value) => {
      const box = el("input", { type: "checkbox", checked: value, "data-tick": key });
      box.addEventListener("change", () => { this[key] = box.checked; this.move(null); this.draw(); });
      return el("label", {}, box, ` ${name}`);
    };
    const controls = el("div", { class: "controls" },
      data.x.length > 1 && choose("x", data.x, (i) => { this.x = i; }, this.x) || null,
      data.y.length > 1 && choose("y", data.y, (i) => { this.y = i; }, this.y) || null,
      tick("log scale", "log", false),
      data.families.length > 1 ? tick(`a front for each ${data.filter}`, "frontPerFamily", this.frontPerFamily) : null);
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.svg = svg("svg", { "aria-hidden": "true" });
    this.tip = el("div", { class: "tip", hidden: true });
    this.stage = el("div", {
      class: "stage", tabindex: 0, role: "group",
      "aria-label": `${data.title}. Left and right arrow: along the front; with Shift: over all points; Enter: details.`,
    }, this.canvas, this.svg, this.tip);
    this.live = el("p", { class: "live small", "aria-live": "polite" });
    this.note = el("p", { class: "small note" });
    this.panel = el("div", { class: "inspect", hidden: true, tabindex: -1 });
    this.legend = el("div", { class: "legend" });
    fill(this.root, {}, [controls, this.filters(), this.legend, this.stage, this.live, this.note, this.panel]);
    this.listen();
  }

  filters() {
    const { families, filter } = this.data;
    if (families.length < 2) return null;
    const box = (name, i) => {
      const input = el("input", { type: "checkbox", checked: true, "data-family": name });
      input.addEventListener("change", () => {
        input.checked ? this.hidden.delete(i) : this.hidden.add(i);
        this.move(null);
        this.draw();
      });
      const key = el("span", { class: "key" });
      key.style.background = this.colour(i);
      return el("label", {}, input, key, name);
    };
    const boxes = families.map(box);
    const all = (on) => {
      const button = el("button", { type: "button" }, on ? "all" : "none");
      button.addEventListener("click", () => {
        this.hidden = new Set(on ? [] : families.keys());
        boxes.forEach((b) => { b.firstChild.checked = on; });
        this.move(null);
        this.draw();
      });
      return button;
    };
    const many = families.length > 6;
    return el("details", { class: "filters", open: !many },
      el("summary", {}, `Filter by ${filter} (${families.length})`), all(true), all(false), ...boxes);
  }

  colour(family) {
    const { colors } = this.data;
    return colors.length ? `var(--s${colors[family]})` : "var(--candidate)";
  }

  listen() {
    const { stage } = this;
    const near = (e) => {
      const box = stage.getBoundingClientRect();
      return this.nearest(e.clientX - box.left, e.clientY - box.top);
    };
    stage.addEventListener("pointermove", (e) => { if (e.pointerType === "mouse") this.move(near(e)); });
    stage.addEventListener("pointerleave", (e) => { if (e.pointerType === "mouse") this.move(null); });
    stage.addEventListener("click", (e) => {
      const point = near(e);
      this.move(point);
      if (point !== null) this.inspect(point);
    });
    stage.addEventListener("keydown", (e) => this.key(e));
  }

  key(e) {
    const order = (e.shiftKey ? this.points : this.points.filter((p) => p.marked)).map((p) => p.i);
    const at = order.indexOf(this.current);
    const go = {
      ArrowRight: at + 1, ArrowLeft: at < 0 ? order.length - 1 : at - 1, Home: 0, End: order.length - 1,
    }[e.key];
    if (go !== undefined && order.length) {
      this.move(order[(go + order.length) % order.length]);
    } else if (e.key === "Enter" && this.current !== null) {
      this.inspect(this.current);
    } else if (e.key === "Escape") {
      this.move(null);
    } else {
      return;
    }
    e.preventDefault();
  }

  name(i) {
    const { names, ids, families, family, filter } = this.data;
    const own = ids.length ? `#${ids[i]}` : "";
    const run = filter !== "family" && ids.length && families.length > 1 ? `, ${families[family[i]]}` : "";
    return [own, names[i]].filter(Boolean).join(" ") + run;
  }

  // The points that the axes and the filters show, from left to right.
  collect() {
    const { axes, group, family } = this.data;
    const [xs, ys] = [axes[this.x].values, axes[this.y].values];
    const points = [];
    for (let i = 0; i < group.length; i++) {
      const [x, y] = [xs[i], ys[i]];
      if (x === null || y === null || this.hidden.has(family[i]) || (this.log && x <= 0)) continue;
      points.push({ i, x, y, group: group[i], family: family[i], front: false, marked: false });
    }
    points.sort((a, b) => a.x - b.x || a.y - b.y || a.i - b.i);
    this.fronts = this.frontPerFamily ? this.data.families.map((_, f) => this.front(points.filter((p) => p.family === f)))
      : [this.front(points)];
    for (const p of points) p.marked = p.front || this.data.groups[p.group].mark !== "small";
    return points;
  }

  // The points that no other point dominates; equal points stay together.
  front(points) {
    const sign = (axis) => (this.data.axes[axis].goal === "maximize" ? -1 : 1);
    const [sx, sy] = [sign(this.x), sign(this.y)];
    const sorted = [...points].sort((a, b) => sx * (a.x - b.x) || sy * (a.y - b.y));
    let best = null;
    const front = sorted.filter((p) => {
      if (best && !(sy * (p.y - best.y) < 0) && !(p.x === best.x && p.y === best.y)) return false;
      best = p;
      return true;
    });
    front.forEach((p) => { p.front = true; });
    return front.sort((a, b) => a.x - b.x || a.y - b.y);
  }

  nearest(x, y) {
    let [found, least] = [null, 24];
    for (const p of this.points) {
      const distance = Math.hypot(p.px - x, p.py - y) - (p.marked ? 6 : 0);
      if (distance < least) [found, least] = [p.i, distance];
    }
    return found;
  }

  // Makes a point the current one: shows its numbers in a tooltip and below the plot.
  move(i) {
    this.current = i;
    const point = this.points.find((p) => p.i === i);
    this.tip.hidden = !point;
    this.ring?.remove();
    if (!point) { this.live.textContent = ""; return; }
    const rows = this.facts(i, true);
    const genome = genomeOf(this.data, i);
    this.live.textContent = `${this.name(i)}: ${rows.map(([n, v]) => `${n} ${v}`).join(", ")}`;
    this.tip.replaceChildren(...fill(el("div"), {}, [
      el("b", {}, this.name(i)),
      el("table", {}, ...rows.map(([n, v]) => el("tr", {}, el("td", {}, n), el("td", { class: "n" }, v)))),
      genome && code(genome),
    ]).childNodes);
    const left = point.px > this.width / 2;
    Object.assign(this.tip.style, {
      left: left ? "auto" : `${point.px + 14}px`, right: left ? `${this.width - point.px + 14}px` : "auto",
      maxWidth: `${Math.min(Math.max(left ? point.px - 18 : this.width - point.px - 18, 150), 400)}px`,
    });
    this.tip.style.top = `${Math.max(0, Math.min(point.py - 20, this.height - this.tip.offsetHeight - 4))}px`;
    this.ring = svg("circle", { class: "ring", cx: point.px, cy: point.py, r: 9 });
    this.svg.append(this.ring);
  }

  // The numbers of a point, name and value: all, or those of the tooltip.
  facts(i, brief = false) {
    const { axes, facts } = this.data;
    const wanted = (a) => a.values[i] !== null && !(brief && a.secondary && a !== axes[this.x]);
    const rows = axes.filter(wanted).map((a) => {
      const bar = a.low && a.low[i] !== undefined && a.high[i] !== undefined
        ? ` (${shown({ ...a, unit: "" }, a.low[i])}–${shown({ ...a, unit: "" }, a.high[i])})` : "";
      return [a.name, shown(a, a.values[i]) + bar + (a.uncertain && a.uncertain[i] ? `, ${a.uncertain[i]}` : "")];
    });
    return brief ? rows : rows.concat((facts && facts[i]) || []);
  }

  inspect(i) {
    this.panel.replaceChildren(...details(this, i));
    this.panel.hidden = false;
    this.panel.scrollIntoView({ block: "nearest" });
  }
}
