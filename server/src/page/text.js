// The page's words, in the language that was chosen; elements name theirs by `data-text`.

import { keep, kept } from './kept.js';
import en from './text/en.js';
import ko from './text/ko.js';

const TEXTS = { en, ko };
const asked = new URLSearchParams(location.search).get('lang') ?? kept('language');
let language = asked in TEXTS ? asked : navigator.language.startsWith('ko') ? 'ko' : 'en';

export function text(key) {
  return TEXTS[language][key] ?? key;
}

// Puts the words into the page.
export function translate() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll('[data-text]')) element.textContent = text(element.dataset.text);
  for (const element of document.querySelectorAll('[data-label]')) element.setAttribute('aria-label', text(element.dataset.label));
}

export function switchLanguage() {
  language = language === 'en' ? 'ko' : 'en';
  keep('language', language);
  translate();
}
