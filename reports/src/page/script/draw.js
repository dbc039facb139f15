// Drawing: small marks on a canvas, everything else as SVG.

const SHAPES = {
  steps: () => svg("path", { d: "M1 12H8V5H15" }),
  dot: (x, y, r) => svg("circle", { cx: x, cy: y, r }),
  diamond: (x, y, r) => svg("path", { d: `M${x - r} ${y}L${x} ${y - r}L${x + r} ${y}L${x} ${y + r}Z` }),
  square: (x, y, r) => svg("rect", { x: x - r * 0.85, y: y - r * 0.85, width: r * 1.7, height: r * 1.7 }),
};

// Half the width of a mark, px.
const RADIUS = { dot: 4.5, diamond: 6.5, square: 5.5 };

Plot.prototype.draw = function draw() {
  const { stage, data } = this;
  const [width, height] = [stage.clientWidth, stage.clientHeight];
  if (!width) return;
  this.points = this.collect();
  const narrow = width < 520;
  const side = { left: narrow ? 44 : 56, right: 14, top: 30, bottom: 46 };
  Object.assign(this, { width, height, side });
  const inner = { width: width - side.left - side.right, height: height - side.top - side.bottom };
  const across = scale(this.span("x", data.axes[this.x]), this.log, narrow ? 4 : 9);
  const up = scale(this.span("y", data.axes[this.y]), false, narrow ? 6 : 8);
  this.place = {
    x: (v) => side.left + across.at(v) * inner.width,
    y: (v) => side.top + (1 - up.at(v)) * inner.height,
  };
  for (const p of this.points) [p.px, p.py] = [this.place.x(p.x), this.place.y(p.y)];
  this.segments = [];
  this.svg.replaceChildren();
  this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  this.frame(across, up, side, inner);
  this.small(width, height);
  this.lines();
  this.marks();
  this.keys();
  const [x, y] = [data.axes[this.x], data.axes[this.y]];
  this.note.textContent = [...new Set([x.note, y.note])].filter(Boolean).join(" ");
  if (!this.points.length) {
    this.svg.append(svg("text", { x: width / 2, y: height / 2, class: "tick", "text-anchor": "middle" },
      "No point has both numbers and passes the filter."));
  }
  this.move(this.points.some((p) => p.i === this.current) ? this.current : null);
};

// The values that an axis shows: points, and the error bars of marked ones.
Plot.prototype.span = function span(key, axis) {
  const ends = this.points.flatMap((p) => (p.marked ? endsOf(axis, p.i) : []));
  return this.points.map((p) => p[key]).concat(ends).filter((v) => !this.log || key === "y" || v > 0);
};

Plot.prototype.frame = function frame(across, up, side, inner) {
  const [bottom, right] = [side.top + inner.height, side.left + inner.width];
  const axis = (i) => this.data.axes[i];
  const better = (a) => (a.goal === "maximize" ? "larger is better" : "smaller is better");
  for (const t of across.ticks) {
    const x = side.left + across.at(t) * inner.width;
    this.svg.append(svg("line", { x1: x, x2: x, y1: side.top, y2: bottom, class: "grid" }),
      svg("text", { x, y: bottom + 17, class: "tick", "text-anchor": "middle" }, across.label(t)));
  }
  for (const t of up.ticks) {
    const y = side.top + (1 - up.at(t)) * inner.height;
    this.svg.append(svg("line", { x1: side.left, x2: right, y1: y, y2: y, class: "grid" }),
      svg("text", { x: side.left - 7, y: y + 4, class: "tick", "text-anchor": "end" }, up.label(t)));
  }
  // A long label is cut before its unit.
  const fit = (text) => {
    const most = Math.floor((this.width - 12) / 6.6);
    const [unit] = text.match(/ \([^()]*\)$/) || [""];
    return text.length > most ? `${text.slice(0, Math.max(most - 1 - unit.length, 0))}…${unit}` : text;
  };
  this.svg.append(svg("line", { x1: side.left, x2: right, y1: bottom, y2: bottom, class: "axis" }),
    svg("text", { x: 2, y: 15, class: "axis-name" }, fit(axis(this.y).label)),
    svg("text", { x: right, y: bottom + 38, class: "axis-name", "text-anchor": "end" },
      fit(`${axis(this.x).label}${this.log ? ", log" : ""}, ${better(axis(this.x))}`)));
};

Plot.prototype.small = function small(width, height) {
  const ratio = window.devicePixelRatio || 1;
  this.canvas.width = width * ratio;
  this.canvas.height = height * ratio;
  const pen = this.canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const style = getComputedStyle(this.root);
  const paint = (name) => style.getPropertyValue(name).trim();
  const many = this.points.length > 3000;
  pen.globalAlpha = many ? 0.55 : 0.9;
  let last = null;
  for (const p of this.points) {
    if (p.marked) continue;
    const name = this.colour(p.family).slice(4, -1);
    if (name !== last) { pen.fillStyle = paint(name); last = name; }
    pen.beginPath();
    pen.arc(p.px, p.py, many ? 1.8 : 2.6, 0, 2 * Math.PI);
    pen.fill();
  }
};

// The box around a straight line.
const boxOf = (a, b, c, d) => [Math.min(a, c) - 1, Math.min(b, d) - 1, Math.max(a, c) + 1, Math.max(b, d) + 1];

// The steps between the points of each front.
Plot.prototype.lines = function lines() {
  this.fronts.forEach((front, f) => {
    const larger = this.data.axes[this.x].goal === "maximize";
    const path = front.map((p, k) => {
      if (!k) return `M${p.px} ${p.py}`;
      return larger ? `V${p.py}H${p.px}` : `H${p.px}V${p.py}`;
    }).join("");
    const line = svg("path", { d: path, class: "steps" });
    if (this.frontPerFamily) line.style.stroke = this.colour(f);
    this.svg.append(line);
    front.slice(1).forEach((p, k) => {
      const before = front[k];
      const corner = larger ? [before.px, p.py] : [p.px, before.py];
      this.segments.push(boxOf(before.px, before.py, ...corner), boxOf(...corner, p.px, p.py));
    });
  });
};

Plot.prototype.marks = function marks() {
  const { data } = this;
  const labels = [];
  const [x, y] = [data.axes[this.x], data.axes[this.y]];
  const marked = this.points.filter((p) => p.marked).sort((a, b) => a.group - b.group);
  for (const p of marked) {
    const group = data.groups[p.group];
    const mark = group.mark === "small" ? "dot" : group.mark;
    const shape = SHAPES[mark](p.px, p.py, RADIUS[mark]);
    p.radius = RADIUS[mark];
    const uncertain = (x.uncertain && x.uncertain[p.i]) || (y.uncertain && y.uncertain[p.i]);
    shape.setAttribute("class", `mark${uncertain ? " uncertain" : ""}`);
    shape.setAttribute("data-i", p.i);
    if (p.front) shape.setAttribute("data-front", "");
    shape.style.setProperty("--own", group.color ? `var(--${p.front && mark === "dot" ? "front" : group.color})`
      : this.colour(p.family));
    if (group.mark !== "small") this.bars(p, x, y, shape.style.getPropertyValue("--own"));
    this.svg.append(shape);
    if (group.mark !== "small" || marked.length <= 40) {
      const text = data.names[p.i] || this.name(p.i).split(",")[0];
      labels.push({ p, text, needed: group.mark === "diamond" || group.mark === "square" });
    }
  }
  this.label(labels, marked);
};

// The ends of a point's error bar on an axis, if it has one.
const endsOf = (axis, i) => (axis.low && axis.high && axis.low[i] !== undefined && axis.high[i] !== undefined
  ? [axis.low[i], axis.high[i]] : []);

// Error bars of one point, where an axis has them.
Plot.prototype.bars = function bars(p, x, y, own) {
  const line = (x1, y1, x2, y2) => {
    const drawn = svg("line", { x1, y1, x2, y2, class: "bar" });
    drawn.style.stroke = own;
    this.svg.append(drawn);
    this.segments.push(boxOf(x1, y1, x2, y2));
  };
  const across = endsOf(x, p.i).filter((v) => !this.log || v > 0).map(this.place.x);
  const up = endsOf(y, p.i).map(this.place.y);
  if (across.length === 2) line(across[0], p.py, across[1], p.py);
  if (up.length === 2) line(p.px, up[0], p.px, up[1]);
};

Plot.prototype.keys = function keys() {
  const { groups } = this.data;
  const shown = new Set(this.points.map((p) => p.group));
  const uncertain = [this.data.axes[this.x], this.data.axes[this.y]].some((a) => a.uncertain && Object.keys(a.uncertain).length);
  const key = (mark, colour, name, hollow) => {
    const shape = SHAPES[mark === "small" ? "dot" : mark](8, 8, mark === "small" ? 2.6 : 5.5);
    shape.setAttribute("class", mark === "steps" ? "steps" : `mark${hollow ? " uncertain" : ""}`);
    shape.style.setProperty("--own", colour);
    return el("span", {}, svg("svg", { width: 16, height: 16, "aria-hidden": "true" }, shape), name);
  };
  const own = (g) => (g.color ? `var(--${g.color})` : "var(--muted)");
  this.legend.replaceChildren(
    ...groups.filter((_, i) => shown.has(i)).map((g) => key(g.mark, own(g), g.name)),
    key("steps", this.frontPerFamily ? "var(--muted)" : "var(--front)", this.frontPerFamily ? `front of each ${this.data.filter}` : "front"),
    ...(uncertain ? [key("dot", "var(--muted)", this.data.uncertain, true)] : []));
};
