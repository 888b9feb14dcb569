// The charts, drawn from the numbers of every norm in forward order.
const layers = data;
const STEP = Math.max(12, Math.min(28, 1080 / Math.max(1, layers.length)));
const LEFT = 46, TOP = 12, HEIGHT = 230, FOOT = 40;
let kappa = 'k90', chosen = 0;

const x = index => LEFT + (index + .5) * STEP;

function canvasOf(place) {
  const holder = byId(place);
  const width = LEFT + layers.length * STEP + 16;
  const svg = element(document.createDocumentFragment(), 'svg', {
    width, height: TOP + HEIGHT + FOOT, viewBox: `0 0 ${width} ${TOP + HEIGHT + FOOT}`,
    role: 'img', 'aria-label': holder.previousElementSibling.textContent,
  });
  holder.replaceChildren(svg);
  return svg;
}

// Where the part of the network changes, with its name below.
function drawParts(svg) {
  let start = 0;
  let lastEnd = -Infinity, low = false;
  layers.forEach((layer, index) => {
    const next = layers[index + 1];
    if (next && next.part === layer.part) return;
    const from = LEFT + start * STEP, to = LEFT + (index + 1) * STEP;
    if (next) element(svg, 'line', {class: 'part', x1: to, x2: to, y1: TOP, y2: TOP + HEIGHT});
    low = from - lastEnd < 0 && !low;
    const y = TOP + HEIGHT + (low ? 32 : 16);
    const shown = layer.part.replace('backbone ', '');
    element(svg, 'text', {x: from + 2, y}, shown);
    lastEnd = Math.max(low ? lastEnd : -Infinity, from + 2 + 7 * shown.length);
    start = index + 1;
  });
}

// Each norm is a column that can be hovered, clicked and tabbed to.
function drawColumns(svg, title) {
  layers.forEach((layer, index) => {
    const column = element(svg, 'rect', {
      class: 'column' + (index === chosen ? ' chosen' : ''), 'data-index': index,
      x: LEFT + index * STEP, y: TOP, width: STEP, height: HEIGHT, tabindex: 0,
    });
    column.lines = [`${layer.name} (${layer.type})`, title(layer)];
    column.addEventListener('click', () => choose(index, true));
    column.addEventListener('keydown', event => {
      if (event.key === 'Enter') choose(index, true);
    });
  });
}

const shown = value => value === null ? 'none' : value === 'inf' ? '∞'
  : value < 1000 ? String(+value.toPrecision(3)) : Math.round(value).toLocaleString('en');

function drawCondition() {
  const svg = canvasOf('condition-chart');
  const finite = layers.flatMap(l => [l.before[kappa], l.after[kappa]]).filter(v => typeof v === 'number');
  const top = Math.max(1, Math.ceil(Math.log10(Math.max(10, ...finite))));
  const y = value => TOP + HEIGHT - HEIGHT * .94 * (Math.log10(value) / top);
  const jump = Math.max(1, Math.ceil(top / 7));
  for (let power = 0; power <= top; power += jump) {
    element(svg, 'line', {class: 'grid', x1: LEFT, x2: x(layers.length - .5), y1: y(10 ** power), y2: y(10 ** power)});
    element(svg, 'text', {x: LEFT - 8, y: y(10 ** power) + 4, 'text-anchor': 'end'},
      power < 4 ? String(10 ** power) : '10' + [...String(power)].map(d => '⁰¹²³⁴⁵⁶⁷⁸⁹'[d]).join(''));
  }
  for (const side of ['before', 'after']) {
    let run = [];
    const flush = () => {
      if (run.length > 1) element(svg, 'polyline', {class: side, points: run.join(' ')});
      run = [];
    };
    layers.forEach((layer, index) => {
      const value = layer[side][kappa];
      if (typeof value === 'number') run.push(`${x(index)},${y(Math.max(1, value))}`);
      else flush();
    });
    flush();
    layers.forEach((layer, index) => {
      const value = layer[side][kappa];
      if (value === null) return;
      const cy = value === 'inf' ? TOP + 3 + (side === 'after' ? 6 : 0) : y(Math.max(1, value));
      element(svg, 'circle', {class: side, cx: x(index), cy, r: 2.8});
    });
  }
  drawParts(svg);
  drawColumns(svg, l => `κ before ${shown(l.before[kappa])}, after ${shown(l.after[kappa])}`);
}

function drawGap() {
  const svg = canvasOf('gap-chart');
  const limit = Number(byId('gap-chart').dataset.limit);
  const values = layers.flatMap(l => [l.noise, l.gap]).filter(v => typeof v === 'number');
  // A gap of untrained statistics would flatten all others.
  const sorted = [...values].sort((a, b) => a - b);
  const most = Math.max(2 * limit, 1.1 * (sorted[Math.floor(.97 * (sorted.length - 1))] ?? 0));
  const y = value => TOP + HEIGHT - HEIGHT * Math.min(1, value / most);
  const unit = 10 ** Math.floor(Math.log10(most));
  const step = most / unit > 5 ? unit * 2 : most / unit > 2 ? unit : unit / 4;
  for (let value = 0; value <= most; value += step) {
    element(svg, 'line', {class: 'grid', x1: LEFT, x2: x(layers.length - .5), y1: y(value), y2: y(value)});
    element(svg, 'text', {x: LEFT - 8, y: y(value) + 4, 'text-anchor': 'end'}, String(+value.toFixed(3)));
  }
  layers.forEach((layer, index) => {
    ['noise', 'gap'].forEach((kind, place) => {
      const value = layer[kind];
      if (typeof value !== 'number' || value === 0) return;
      element(svg, 'rect', {class: kind, x: x(index) - STEP * .36 + place * STEP * .36,
        y: y(value), width: STEP * .32, height: TOP + HEIGHT - y(value)});
    });
  });
  element(svg, 'line', {class: 'limit', x1: LEFT, x2: x(layers.length - .5), y1: y(limit), y2: y(limit)});
  drawParts(svg);
  drawColumns(svg, l => `noise ${shown(l.noise)}, gap ${shown(l.gap)}`);
}

function drawHeat(side, layer) {
  const canvas = byId(`heat-${side}`), data = layer[side], size = data.size;
  const values = Int8Array.from(atob(data.picture), c => c.charCodeAt(0));
  const style = getComputedStyle(document.documentElement);
  const triple = name => style.getPropertyValue(name).split(',').map(Number);
  const hex = style.getPropertyValue('--paper').trim();
  const paper = [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
  const warm = triple('--warm'), cold = triple('--cold');
  canvas.width = canvas.height = Math.max(1, size);
  const image = new ImageData(canvas.width, canvas.height);
  values.forEach((value, index) => {
    const share = Math.abs(value) / 127, end = value > 0 ? warm : cold;
    for (let c = 0; c < 3; c++) image.data[4 * index + c] = paper[c] + (end[c] - paper[c]) * share;
    image.data[4 * index + 3] = 255;
  });
  canvas.getContext('2d').putImageData(image, 0, 0);
  const blocks = data.channels > size ? `, the strongest of each ${Math.ceil(data.channels / size)}×${Math.ceil(data.channels / size)}` : '';
  byId(`caption-${side}`).textContent =
    `${side[0].toUpperCase()}${side.slice(1)}: ${data.channels} channels${blocks}; largest |correlation| ${shown(data.correlation)}, κ90 ${shown(data.k90)}`;
}

function drawWhatIf(layer) {
  const kinds = [...new Set(layer.whatIf.map(w => `${w.norm} ${w.size}`))];
  const iterations = [...new Set(layer.whatIf.map(w => w.T))];
  const table = document.createElement('table');
  const head = table.createTHead().insertRow();
  cell(head, 'th', 'groups');
  for (const T of iterations) cell(head, 'th', `T = ${T}`, 'number');
  const body = table.createTBody();
  for (const kind of kinds) {
    const row = body.insertRow();
    cell(row, 'td', kind);
    for (const T of iterations) {
      const found = layer.whatIf.find(w => `${w.norm} ${w.size}` === kind && w.T === T);
      cell(row, 'td', found ? found.k90 : '', 'number');
    }
  }
  byId('what-if').replaceChildren(table);
}

function choose(index, scroll) {
  chosen = index;
  const layer = layers[index];
  if (!layer) return;
  for (const column of document.querySelectorAll('.column')) {
    column.classList.toggle('chosen', Number(column.dataset.index) === index);
  }
  byId('layer-name').textContent = layer.name;
  byId('layer-text').textContent =
    `${layer.type}, maps of ${layer.map}, values behind a statistic: ${layer.values || 'none'}. ` +
    `Deviation after the norm ${shown(layer.deviation)}.`;
  drawHeat('before', layer);
  drawHeat('after', layer);
  drawWhatIf(layer);
  if (scroll) byId('layer').scrollIntoView({block: 'nearest'});
}

for (const button of document.querySelectorAll('[data-kappa]')) {
  button.addEventListener('click', () => {
    kappa = button.dataset.kappa;
    press(document.querySelectorAll('[data-kappa]'), button);
    drawCondition();
  });
}
for (const button of document.querySelectorAll('[data-norm]')) {
  button.addEventListener('click', () =>
    choose(layers.findIndex(l => l.name === button.dataset.norm), true));
}
document.addEventListener('theme', () => choose(chosen, false));
showTips(target => target.lines);
drawCondition();
drawGap();
choose(0, false);
