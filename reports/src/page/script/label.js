// Placement of labels: each takes the cheapest free place around its point, the needed ones first.

// Directions from a point, the most readable first; y downwards.
const AROUND = [[1, 0], [0.7, -0.7], [0, -1], [-0.7, -0.7], [0.7, 0.7], [0, 1], [-1, 0], [-0.7, 0.7], [0.9, -0.4],
  [0.9, 0.4], [-0.9, -0.4], [-0.9, 0.4]];
const NEAR = [0, 3];
const FAR = [0, 3, 8, 18, 30, 45, 65, 90, 120, 150];

const meet = ([a, b, c, d], [e, f, g, h]) => a < g && e < c && b < h && f < d;
const grown = ([a, b, c, d], by) => [a - by, b - by, c + by, d + by];
const clamp = (v, low, high) => Math.min(Math.max(v, low), high);
const nearestOf = ([a, b, c, d], x, y) => [clamp(x, a, c), clamp(y, b, d)];

// The box of a text of the given size that lies at a distance from its point, in a direction.
const beside = (p, [wide, high], [dx, dy], distance) => {
  const side = (v) => (Math.abs(v) < 0.3 ? 0 : Math.sign(v));
  const left = p.px + dx * distance - wide * (0.5 - 0.5 * side(dx));
  const top = p.py + dy * distance - high * (0.5 - 0.5 * side(dy));
  return [left, top, left + wide, top + high];
};

// Whether two lines, each from a point to its label, cross.
const cross = ([a, b], [c, d]) => {
  const turn = (o, p, q) => (p[0] - o[0]) * (q[1] - o[1]) - (p[1] - o[1]) * (q[0] - o[0]);
  return turn(a, b, c) * turn(a, b, d) < 0 && turn(c, d, a) * turn(c, d, b) < 0;
};

// No label covers a line, a mark, an error bar or another label. One without such a place is left out; a needed one may be
// farther away, with a line to its point.
Plot.prototype.label = function label(labels, marked) {
  const marks = marked.map((p) => [p.px - p.radius - 1, p.py - p.radius - 1, p.px + p.radius + 1, p.py + p.radius + 1]);
  const area = [this.side.left + 1, 20, this.width - 2, this.height - this.side.bottom];
  const taken = [...marks, ...this.segments];
  const small = this.points.length > 3000 ? [] : this.points.filter((p) => !p.marked);
  const leaders = [];
  for (const { p, text, needed } of [...labels].sort((a, b) => b.needed - a.needed)) {
    const drawn = svg("text", { class: needed ? "label needed" : "label" }, text);
    this.svg.append(drawn);
    const size = [drawn.getComputedTextLength() + 2, needed ? 14 : 13];
    let best = null;
    (needed ? FAR : NEAR).forEach((extra, ring) => AROUND.forEach((direction, preference) => {
      const box = beside(p, size, direction, p.radius + 3 + extra);
      const inside = box[0] >= area[0] && box[1] >= area[1] && box[2] <= area[2] && box[3] <= area[3];
      if (!inside || taken.some((t) => meet(t, box))) return;
      const leader = [[p.px, p.py], nearestOf(box, p.px, p.py)];
      const hidden = small.filter((s) => meet(grown([s.px, s.py, s.px, s.py], 2), box)).length;
      const crossed = leaders.filter((l) => cross(l, leader)).length;
      const cost = Math.min(hidden, 8) + crossed * 10 + ring * 1.5 + preference * 0.1;
      if (!best || cost < best.cost) best = { cost, box, leader };
    }));
    if (!best) { drawn.remove(); continue; }
    taken.push(grown(best.box, 1));
    leaders.push(best.leader);
    drawn.setAttribute("x", best.box[0] + 1);
    drawn.setAttribute("y", best.box[3] - 3.5);
    const [[x1, y1], [x2, y2]] = best.leader;
    const far = Math.hypot(x2 - x1, y2 - y1);
    if (far > p.radius + 9) {
      const part = p.radius / far;
      this.svg.append(svg("line", { x1: x1 + (x2 - x1) * part, y1: y1 + (y2 - y1) * part, x2, y2, class: "leader" }));
    }
  }
};
