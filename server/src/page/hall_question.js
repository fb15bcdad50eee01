// The words of a question: the ready ones in the chosen language, the presenter's own as they are.

import { inWords } from './delay.js';
import { text } from './text.js';

// The text of the question.
export function asked({ kind, text: own, phones }) {
  return kind === 'free' ? own : kind === 'requests' ? text('ask requests')(phones) : text(`ask ${kind}`);
}

// A choice in words. Those of a ready question are names of transports.
export function choiceName({ kind, choices }, index) {
  return kind === 'free' ? choices[index] : text(choices[index]);
}

// The unit of the answers on a slider, and their step.
export function scale({ kind }) {
  return ['longest', 'goal'].includes(kind) ? { unit: text('s'), step: 0.1, digits: 1 } : { unit: text('perSecond'), step: 1, digits: 0 };
}

// The measured value in words; null if nothing was measured.
export function measuredWords(question) {
  const { kind, measured } = question;
  if (!measured) return null;
  if (kind === 'last') return `${choiceName(question, measured.choice)}, ${text('middle')} ${inWords(measured.value)}`;
  if (kind === 'longest') return `${measured.value.toFixed(2)} ${text('s')}`;
  return `${measured.value.toFixed(1)} ${text('perSecond')}`;
}
