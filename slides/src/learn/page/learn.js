// The story: a scene shows its measurement once the reader has predicted it, with a sentence that compares the two. It is a classic script,
// since pages that are opened from a file cannot load modules.
'use strict';

const { scenes, texts } = JSON.parse(document.getElementById('data').textContent);
const sections = scenes.map(scene => document.getElementById(scene.name));
const links = [...document.querySelectorAll('nav li a')];

const fill = (text, words) => text.replace(/\{(\w+)\}/g, (all, name) => words[name] ?? all);

// The index of the step that is nearest to a value, on a scale where steps are evenly spaced.
function nearest(steps, value) {
  const next = steps.findIndex(step => step >= value);
  if (next <= 0) return next < 0 ? steps.length - 1 : 0;
  const share = (value - steps[next - 1]) / (steps[next] - steps[next - 1]);
  return share < 0.5 ? next - 1 : next;
}

// How a prediction compares with the answer, as the name of a text.
function verdict(prediction, index) {
  const { kind, answer, steps, tolerance } = prediction;
  if (kind === 'choice') return index === answer ? 'right' : 'wrong';
  if (steps[index] === answer) return 'exact';
  if (Math.abs(index - nearest(steps, answer)) <= tolerance) return 'close';
  return answer < steps[index] ? 'less' : 'more';
}

function start(scene, section, link) {
  const get = selector => section.querySelector(selector);
  const [form, button, measurement] = [get('form'), get('form button'), get('.measurement')];
  const slider = get('input[type=range]');
  let said = null;

  // The prediction as an index among the options or the steps, with its text.
  function predict(index, text) {
    said = { index, text };
    button.disabled = false;
  }

  function slide() {
    const value = scene.prediction.steps[slider.value].toLocaleString('en');
    const text = fill(scene.value, { value });
    get('output').textContent = text;
    slider.setAttribute('aria-valuetext', text);
    predict(Number(slider.value), text);
  }

  form.addEventListener('input', ({ target }) => {
    if (target === slider) slide();
    else predict(Number(target.value), target.parentElement.textContent.trim());
  });
  // The middle is a prediction, too: a touch of the slider is enough.
  slider?.addEventListener('pointerup', slide);

  form.addEventListener('submit', event => {
    event.preventDefault();
    if (!said) return;
    get('.sentence').textContent = fill(texts.sentence, {
      verdict: texts[verdict(scene.prediction, said.index)],
      said: said.text,
      fact: scene.fact,
    });
    // What was predicted stays as it is once the measurement is known.
    get('fieldset').disabled = true;
    button.hidden = true;
    get('.waiting').hidden = true;
    measurement.hidden = false;
    section.dataset.done = '';
    link.dataset.done = '';
    play(section);
    // On a narrow screen the measurement is below the prediction, and beyond what is on the screen.
    const isBelow = get('.shown').offsetTop > get('.tell').offsetTop;
    (isBelow ? get('.sentence') : section).scrollIntoView({ block: 'start' });
  });
  get('.replay')?.addEventListener('click', () => play(section));
}

// Shows the messages of a picture one after the other, ten times slower than they were measured.
function play(section) {
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  for (const part of section.querySelectorAll('[data-at]')) {
    part.getAnimations().forEach(animation => animation.cancel());
    part.animate([{ opacity: 0 }, { opacity: 1 }], { delay: 10 * part.dataset.at, duration: 250, fill: 'backwards' });
  }
}

// Marks the link of the scene on the screen.
function follow() {
  const current = Math.max(0, sections.findLastIndex(section => section.getBoundingClientRect().top < innerHeight / 2));
  links.forEach((link, index) => {
    if (index === current) link.setAttribute('aria-current', 'step');
    else link.removeAttribute('aria-current');
  });
  return current;
}

function go(index) {
  const section = sections[index];
  if (!section) return;
  section.scrollIntoView();
  section.querySelector('h2').focus({ preventScroll: true });
}

function theme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = isDark ? 'light' : 'dark';
}

const query = new URLSearchParams(location.search);
if (['dark', 'light'].includes(query.get('theme'))) document.documentElement.dataset.theme = query.get('theme');
// In a frame of another page, ?scene=3 or ?scene=stream shows that scene only.
const only = scenes.findIndex((scene, index) => [scene.name, String(index + 1)].includes(query.get('scene')));
if (only >= 0) {
  document.body.dataset.single = '';
  sections.forEach((section, index) => { section.hidden = index !== only; });
}

scenes.forEach((scene, index) => start(scene, sections[index], links[index]));
links.forEach((link, index) => link.addEventListener('click', event => {
  event.preventDefault();
  history.replaceState(null, '', link.hash);
  go(index);
}));
document.getElementById('theme').addEventListener('click', theme);
document.getElementById('other').search = location.search;
addEventListener('scroll', follow, { passive: true });
follow();
addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('input')) return;
  if (event.key === 'ArrowRight') go(follow() + 1);
  else if (event.key === 'ArrowLeft') go(follow() - 1);
  else if (event.key === 't') theme();
  else if (event.key === 'l') document.getElementById('other').click();
});
