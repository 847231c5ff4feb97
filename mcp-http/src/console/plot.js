// Lines over time, with what they say in words and as a table.

import { Plot as Lines, html, useEffect, useRef, useState } from "./vendor.js";

const COLOURS = ["--accent", "--good", "--warn", "--bad", "--info", "--quiet"];
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * `stats` are answers of /stats with the same steps, each with what its series are called; `unit` writes a figure; `pick` is told of a
 * range that somebody has drawn.
 */
export function Plot({ title, stats, unit, pick, href }) {
  const box = useRef();
  const [isDark, told] = useState(matchMedia("(prefers-color-scheme: dark)").matches);
  const [{ from, step }] = stats;
  const start = Date.parse(from) / 1000;
  const length = Math.max(0, ...stats.flatMap((one) => one.series.map((series) => series.values.length)));
  const times = Array.from({ length }, (_, n) => start + n * step);
  const series = stats.flatMap((one) => one.series.map((series) => ({ name: one.called?.(series.name) ?? series.name ?? title, ...series })));

  useEffect(() => {
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const look = () => told(scheme.matches);
    scheme.addEventListener("change", look);
    return () => scheme.removeEventListener("change", look);
  }, []);

  useEffect(() => {
    const axis = { stroke: style("--quiet"), grid: { stroke: style("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    const plot = new Lines(
      {
        width: box.current.clientWidth,
        height: 160,
        cursor: { y: false, drag: { x: Boolean(pick), y: false } },
        legend: { show: false },
        scales: { y: { range: (_, low, high) => [0, Math.max(high, 1e-9) * 1.1] } },
        axes: [axis, { ...axis, size: 60, values: (_, values) => values.map(unit) }],
        series: [{}, ...series.map((one, n) => ({ label: one.name, stroke: style(COLOURS[n % COLOURS.length]), width: 1.5, points: { show: length < 2 }, spanGaps: false }))],
        hooks: {
          setSelect: [
            (plot) => {
              if (plot.select.width < 4) return;
              const [from, to] = [plot.select.left, plot.select.left + plot.select.width].map((left) => new Date(plot.posToVal(left, "x") * 1000).toISOString());
              pick?.(from, to);
            },
          ],
        },
      },
      [times, ...series.map((one) => one.values)],
      box.current,
    );
    const resized = new ResizeObserver(() => plot.setSize({ width: box.current.clientWidth, height: 160 }));
    resized.observe(box.current);
    return () => {
      resized.disconnect();
      plot.destroy();
    };
  }, [JSON.stringify([times[0], series]), isDark]);

  const summary = series.map((one) => `${one.name}: ${unit(one.total)}`).join(", ") || "nothing yet";
  return html`<figure class="plot">
    <figcaption>${href ? html`<a href=${href}>${title}</a>` : title} <small class="quiet">${summary}</small></figcaption>
    <div ref=${box} aria-hidden="true"></div>
    <details>
      <summary>Table</summary>
      <div class="scroll"><table>
        <thead><tr><th scope="col">From</th>${series.map((one) => html`<th scope="col">${one.name}</th>`)}</tr></thead>
        <tbody>
          ${times.map((time, n) => html`<tr><td>${new Date(time * 1000).toLocaleTimeString()}</td>${series.map((one) => html`<td class="figure">${unit(one.values[n])}</td>`)}</tr>`)}
        </tbody>
      </table></div>
    </details>
  </figure>`;
}
