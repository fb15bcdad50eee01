// The charts of the hall: bars and a curve, as elements whose colours the style sheet sets.

import { inWords } from './delay.js';

function element(name, className, content = '') {
  return Object.assign(document.createElement(name), { className, textContent: content });
}

// Shows columns of bars: for each, a label and its parts, { value, colour }. The highest column fills the height.
function bars(container, columns) {
  const highest = Math.max(1, ...columns.map(({ parts }) => parts.reduce((sum, { value }) => sum + value, 0)));
  container.replaceChildren(
    ...columns.map(({ label, parts, marked }) => {
      const column = element('div', marked ? 'column marked' : 'column');
      const sum = parts.reduce((all, { value }) => all + value, 0);
      const bar = element('div', 'bar');
      for (const { value, colour } of parts.filter((part) => part.value > 0)) {
        const piece = element('div', 'piece');
        piece.style.height = `${(100 * value) / highest}%`;
        if (colour) piece.style.background = colour;
        bar.append(piece);
      }
      if (sum > 0) bar.append(element('span', 'count', String(sum)));
      column.append(bar, element('span', 'label', label));
      return column;
    }),
  );
}

// The distribution of delays: a column for each class, with a part for each transport.
export function distribution(container, { summary, edges_ms: edges }, colourOf) {
  // Below a second, the heading has the unit.
  const short = (edge) => (edge < 1000 ? String(edge) : inWords(edge));
  const labels = edges.map((edge) => `<${short(edge)}`);
  const columns = [...labels, `\u2265${short(edges.at(-1))}`].map((label, index) => ({
    label,
    parts: summary.map(({ transport, classes }) => ({ value: classes[index], colour: colourOf(transport) })),
  }));
  bars(container, columns);
}

// The answers to a question: a column for each choice or class, and the measured value beside them.
export function answers(container, { counts, choices, max, measured }, { nameOf, digits }) {
  const upTo = (index) => `${index === counts.length - 1 ? '\u2264' : '<'}${(((index + 1) * max) / counts.length).toFixed(digits)}`;
  const columns = counts.map((value, index) => ({
    label: max === null ? nameOf(index) : upTo(index),
    parts: [{ value }],
    marked: choices.length > 0 && measured?.choice === index,
  }));
  bars(container, columns);
  if (max === null || !measured) return;
  const marker = element('div', 'marker');
  marker.style.left = `${100 * Math.min(1, measured.value / max)}%`;
  container.append(marker);
}

// The curve of the last minute. Returns the value at its top.
export function curve(svg, counts) {
  const top = Math.max(10, ...counts);
  const points = counts.map((count, index) => `${60 - counts.length + index + 1},${19.5 - (19 * count) / top}`);
  svg.querySelector('polyline').setAttribute('points', points.join(' '));
  return top;
}
