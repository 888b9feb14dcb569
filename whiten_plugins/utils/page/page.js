// What every page has: its data, elements, light and dark, and the tip.
const data = JSON.parse(document.getElementById('data').textContent);
const byId = id => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';

function element(parent, tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return parent.appendChild(made);
}

function cell(row, tag, text, kind) {
  const made = row.appendChild(document.createElement(tag));
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

// Of several buttons, one is pressed.
function press(buttons, chosen) {
  for (const button of buttons) button.setAttribute('aria-pressed', String(button === chosen));
}

const prefersDark = matchMedia('(prefers-color-scheme: dark)');
const isDark = () => matchMedia(byId('dark').media).matches;
const tellTheme = () => document.dispatchEvent(new Event('theme'));
prefersDark.addEventListener('change', tellTheme);
byId('theme').addEventListener('click', () => {
  byId('dark').media = isDark() ? 'not all' : 'all';
  tellTheme();
});

// Shows the lines that a function finds for the element under the pointer, or
// for the one that has the focus.
function showTips(linesOf) {
  const tip = byId('tip');
  const show = (lines, x, y) => {
    tip.hidden = !lines;
    if (!lines) return;
    tip.replaceChildren(...lines.map((line, index) => {
      const made = document.createElement(index ? 'span' : 'b');
      made.textContent = line;
      return made;
    }));
    const {width, height} = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 8))}px`;
    tip.style.top = `${y + 18 + height > innerHeight ? Math.max(4, y - height - 12) : y + 18}px`;
  };
  document.addEventListener('pointermove', event =>
    show(linesOf(event.target, event), event.clientX, event.clientY));
  document.addEventListener('focusin', event => {
    const box = event.target.getBoundingClientRect();
    show(linesOf(event.target, null), box.left + box.width / 2, box.top);
  });
  for (const kind of ['focusout', 'pointerleave', 'scroll']) {
    document.addEventListener(kind, () => show(null), {passive: true, capture: kind === 'scroll'});
  }
}
