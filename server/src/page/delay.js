// A delay in words and as a class, which has the same colour on a phone and in the hall.

import { text } from './text.js';

// Each class but the last ends before its limit, in ms.
const LIMITS = [50, 200, 500, 1000];

// The class of a delay, from 0, the fastest, to 4.
export function delayClass(ms) {
  return LIMITS.filter((limit) => ms >= limit).length;
}

// The classes in words, for a legend.
export function delayClasses() {
  return [...LIMITS.map((limit) => `< ${inWords(limit)}`), `\u2265 ${inWords(LIMITS.at(-1))}`];
}

// A time that was set, with its unit.
export function exactly(ms) {
  return ms < 1000 ? `${ms} ms` : `${ms / 1000} ${text('s')}`;
}

// A measured delay with its unit: below a second in ms.
export function inWords(ms) {
  if (Math.abs(ms) >= 1000) return `${Number((ms / 1000).toFixed(2))} ${text('s')}`;
  return `${Math.abs(ms) < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}
