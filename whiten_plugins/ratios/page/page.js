// Every figure with one bar a layer shows the part of the network that is
// chosen above.
const plots = [...document.querySelectorAll('.plotly-graph-div')];
const buttons = [...document.querySelectorAll('[data-part]')];
const whole = new Map(plots.map(plot => [plot, plot.layout.xaxis.range]));

function show(part) {
  for (const plot of plots) {
    const parts = plot.layout.meta.parts;
    if (buttons.some(button => button.dataset.part in parts)) {
      const range = part === '' ? whole.get(plot) : parts[part];
      if (range) Plotly.relayout(plot, {'xaxis.range': [...range]});
    }
  }
  for (const button of buttons) {
    button.setAttribute('aria-pressed', String(button.dataset.part === part));
  }
}

for (const button of buttons) {
  button.addEventListener('click', () => show(button.dataset.part));
}
