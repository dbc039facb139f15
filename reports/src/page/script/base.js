// Helpers. Text from the data is only ever set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

const fill = (node, attributes, children) => {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
};
const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

const significant = (value, digits) => {
  if (value === 0) return "0";
  const [, exponent] = value.toExponential(digits - 1).split("e");
  return value.toFixed(Math.min(20, Math.max(0, digits - 1 - Number(exponent))));
};

const count = (value, digits = 3) => {
  for (const [size, prefix] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= size * 0.9995) return `${significant(value / size, digits)} ${prefix}`;
  }
  return Number.isInteger(value) ? String(value) : significant(value, digits);
};

// A number of an axis with its unit.
const shown = (axis, value) => {
  if (value === null || value === undefined) return "–";
  const unit = axis.unit ? `\u00a0${axis.unit}` : "";
  switch (axis.format) {
    case "count": return count(value) + unit;
    case "bytes": return `${count(value)}${Math.abs(value) >= 999.5 ? "" : "\u00a0"}B`;
    case "percent": return value.toFixed(2) + unit;
    case "score": return value.toFixed(1) + unit;
    default: return significant(value, 3) + unit;
  }
};

// Integers written as text, a fixed number of characters each.
const unpack = (packed) => {
  const digit = new Map([...packed.alphabet].map((c, i) => [c, i]));
  const base = packed.alphabet.length;
  return (position) => {
    let value = 0;
    for (let i = position * packed.width; i < (position + 1) * packed.width; i++) {
      value = value * base + digit.get(packed.text[i]);
    }
    return value;
  };
};

// The ticks of an axis, and the position between 0 and 1 of a value on it.
const scale = (values, log, wanted) => {
  let low = Infinity, high = -Infinity;
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  if (low > high) [low, high] = [log ? 1 : 0, log ? 10 : 1];
  if (log) {
    const room = Math.max(Math.log10(high / low) * 0.06, 0.02);
    const [a, b] = [Math.log10(low) - room, Math.log10(high) + room];
    const dense = b - a < 1 ? [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9] : b - a < 2 ? [1, 2, 5] : [1];
    let ticks = [];
    for (let e = Math.floor(a); e <= b; e++) ticks.push(...dense.map((m) => m * 10 ** e));
    ticks = ticks.filter((t) => Math.log10(t) >= a && Math.log10(t) <= b);
    const at = (v) => (Math.log10(v) - a) / (b - a);
    const label = (t) => count(t, 2);
    return { at, ticks: ticks.filter((t, i) => ticks.length <= wanted || i % Math.ceil(ticks.length / wanted) === 0), label };
  }
  const span = high - low > Math.abs(high) * 1e-9 ? high - low : Math.max(Math.abs(high) * 0.2, 1e-3);
  const room = high - low === span ? span * 0.06 : span * 0.5;
  const a = low >= 0 ? Math.max(low - room, 0) : low - room, b = high + room;
  const power = 10 ** Math.floor(Math.log10((b - a) / wanted));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => (b - a) / s <= wanted);
  const ticks = [];
  for (let i = Math.ceil(a / step); i <= b / step; i++) ticks.push(i * step);
  const [size, prefix] = [[1e9, " G"], [1e6, " M"], [1e3, " k"], [1, ""]].find(([s]) => b >= 2 * s || s === 1);
  const decimals = Math.min(12, Math.max(0, -Math.floor(Math.log10(step / size) + 1e-9)));
  return { at: (v) => (v - a) / (b - a), ticks, label: (t) => (t / size).toFixed(decimals) + (t ? prefix : "") };
};
