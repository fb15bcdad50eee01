// The page's texts in the chosen language. An element names its text with `data-text`, and its label with `data-label`.

import { keep, kept } from './kept.js';
import en from './text/en.js';
import ko from './text/ko.js';

const TEXTS = { en, ko };
const chosen = new URLSearchParams(location.search).get('lang') ?? kept('language');
let language = chosen in TEXTS ? chosen : navigator.language.startsWith('ko') ? 'ko' : 'en';

export function text(key) {
  return TEXTS[language][key] ?? key;
}

// Sets the texts of all elements.
export function translate() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll('[data-text]')) element.textContent = text(element.dataset.text);
  for (const element of document.querySelectorAll('[data-label]')) {
    element.setAttribute(element.matches('optgroup') ? 'label' : 'aria-label', text(element.dataset.label));
  }
}

export function switchLanguage() {
  language = language === 'en' ? 'ko' : 'en';
  keep('language', language);
  translate();
}
