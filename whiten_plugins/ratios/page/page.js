// Bars and points tell what they are, and show their layer when clicked.
const parts = [...document.querySelectorAll('[data-part]')];
const views = [...document.querySelectorAll('[data-view]')];
const marks = [...document.querySelectorAll('[data-layer]')];
const axes = [...document.querySelectorAll('[data-axes] > svg')];
const axesOfRun = data.axes.map((areas, run) =>
  areas && {areas, svg: axes[data.axes.slice(0, run).filter(Boolean).length]});

// Every figure with one bar a layer shows the part of the network that is
// chosen; one that lacks the part shows all.
function showPart(button) {
  press(parts, button);
  const part = button.dataset.part;
  for (const view of views) {
    const own = views.filter(other => other.dataset.figure === view.dataset.figure);
    const shown = own.find(other => other.dataset.view === part) ?? own[0];
    view.hidden = view !== shown;
  }
}

const number = value => value === null ? '∞' : value.toFixed(3);
const withSpread = ([mean, spread]) => `${number(mean)} ± ${number(spread)}`;

function drawNumbers(layer) {
  const table = byId('layer-numbers');
  table.replaceChildren();
  const stats = [...new Set(layer.runs.flatMap(run => run ? Object.keys(run.mean) : []))];
  const head = table.createTHead().insertRow();
  const many = data.letters.length > 1;
  if (many) cell(head, 'th', 'Run');
  cell(head, 'th', 'Ratios of the');
  for (const stat of stats) cell(head, 'th', stat.toUpperCase(), 'number');
  cell(head, 'th', 'Divergence', 'number');
  const body = table.createTBody();
  const rows = (title, found, text) => ['mean', 'var'].forEach((moment, index) => {
    const row = body.insertRow();
    if (many) cell(row, 'td', index ? '' : title);
    cell(row, 'td', data.moments[moment]);
    for (const stat of stats) cell(row, 'td', stat in found[moment] ? text(found[moment][stat]) : '', 'number');
    cell(row, 'td', index ? '' : text(found.divergence), 'number');
  });
  layer.runs.forEach((run, index) => run && rows(data.letters[index], run, number));
  if (layer.across) rows('mean ± spread', layer.across, withSpread);
}

// Fills the empty axes of a run with the curves of a layer.
function drawCurves(run, found) {
  const {svg, areas} = axesOfRun[run];
  svg.querySelector('[data-name="curves"]')?.remove();
  const curves = found?.curves;
  svg.querySelector('[data-name="top"]').textContent = '';
  if (!curves) return;
  const group = element(svg, 'g', {'data-name': 'curves'});
  const {times} = data.runs[run], stats = Object.keys(found.mean);
  const known = curves.divergence.filter(value => value !== null);
  const top = 1.08 * Math.max(0, ...known) || 1;
  svg.querySelector('[data-name="top"]').textContent = String(+top.toPrecision(2));
  const lines = [
    stats.map((stat, index) => [stat, curves.mean[index]]),
    stats.map((stat, index) => [stat, curves.var[index]]),
    [['divergence', curves.divergence]],
  ];
  areas.forEach((area, place) => {
    const [left, above, width, height] = area.box, [first, last] = area.range;
    area.x = times;
    area.curves = lines[place].map(([stat, values]) => [stat, values, []]);
    for (const [stat, values] of lines[place]) {
      const end = place === 2 ? top : 1;
      let points = [];
      const flush = () => {
        if (points.length) element(group, 'polyline', {class: `s-${stat}`, points: points.join(' ')});
        points = [];
      };
      values.forEach((value, index) => {
        if (value === null) return flush();
        const x = left + width * (times[index] - first) / (last - first || 1);
        points.push(`${x.toFixed(1)},${(above + height * (1 - value / end)).toFixed(1)}`);
      });
      flush();
    }
  });
}

function chooseLayer(index, scroll) {
  const layer = data.layers[index];
  for (const mark of marks) mark.classList.toggle('chosen', Number(mark.dataset.layer) === index);
  byId('layer-name').textContent = layer.name;
  byId('layer-facts').textContent = layer.facts;
  drawNumbers(layer);
  axesOfRun.forEach((item, run) => item && drawCurves(run, layer.runs[run]));
  if (scroll) byId('layer').scrollIntoView({block: 'nearest'});
}

// The values of all curves of a panel at the snapshot nearest to the pointer.
function readPanel(svg, areas, event) {
  svg.querySelector('.cursor')?.remove();
  const box = svg.getBoundingClientRect();
  const x = event.clientX - box.left, y = event.clientY - box.top;
  const area = areas.find(({box: [left, top, width, height]}) =>
    x >= left && x <= left + width && y >= top && y <= top + height);
  if (!area || !area.x.length) return null;
  const [left, top, width, height] = area.box, [first, last] = area.range;
  const at = area.x.map(value => left + width * (value - first) / (last - first || 1));
  const nearest = at.reduce((best, place, index) =>
    Math.abs(place - x) < Math.abs(at[best] - x) ? index : best, 0);
  element(svg, 'line', {class: 'cursor', x1: at[nearest], x2: at[nearest], y1: top, y2: top + height});
  return [
    `${svg.dataset.axis} ${area.x[nearest]}`,
    ...area.curves.map(([stat, values, spread]) => spread.length
      ? `${stat} ${withSpread([values[nearest], spread[nearest]])}`
      : `${stat} ${number(values[nearest])}`),
  ];
}

const panels = new Map();
for (const view of views) {
  const areas = data.plots[view.dataset.figure];
  if (areas.some(area => area.x.length)) panels.set(view.querySelector('svg'), areas);
}
axesOfRun.forEach(item => item && panels.set(item.svg, item.areas));
for (const svg of panels.keys()) {
  svg.dataset.axis = svg.lastElementChild.textContent;
  svg.addEventListener('pointerleave', () => svg.querySelector('.cursor')?.remove());
}

showTips((target, event) => {
  const mark = target.closest?.('[data-note]');
  if (mark) return data.notes[mark.dataset.note];
  const svg = target.closest?.('svg');
  return event && panels.has(svg) ? readPanel(svg, panels.get(svg), event) : null;
});
for (const button of parts) button.addEventListener('click', () => showPart(button));
for (const mark of marks) {
  const choose = () => chooseLayer(Number(mark.dataset.layer), true);
  mark.addEventListener('click', choose);
  if (!mark.closest('[data-figure="ratios"]')) continue;
  mark.setAttribute('tabindex', '0');
  mark.setAttribute('role', 'button');
  mark.setAttribute('aria-label', data.notes[mark.dataset.note].join(', '));
  mark.addEventListener('keydown', event => {
    if (event.key === 'Enter') choose();
  });
}
chooseLayer(0, false);
