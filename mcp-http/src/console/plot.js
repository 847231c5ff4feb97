// Lines over time, with what they say in words and as a table.

import { Plot as Lines, html, useEffect, useRef, useState } from "./vendor.js";
import { FAILURES } from "./kit.js";

const COLOURS = ["accent", "good", "warn", "info", "quiet"];
const colour = (name, n) => (name === "ok" ? "good" : FAILURES.includes(name) ? "bad" : COLOURS[n % COLOURS.length]);
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

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
    // What a colour is in this scheme, an element knows to whom it is given.
    const style = (name) => {
      box.current.style.color = `var(--${name})`;
      return getComputedStyle(box.current).color;
    };
    const axis = { stroke: style("quiet"), grid: { show: false }, ticks: { show: false }, font: "12px system-ui" };
    const plot = new Lines(
      {
        width: box.current.clientWidth,
        height: 150,
        cursor: { y: false, drag: { x: Boolean(pick), y: false } },
        legend: { show: false },
        scales: { y: { range: (_, low, high) => [0, Math.max(high, 1e-9) * 1.1] } },
        axes: [
          { ...axis, size: 28, values: (_, values) => values.map((value) => time.format(value * 1000)) },
          { ...axis, grid: { stroke: style("line"), width: 1 }, size: 60, values: (_, values) => values.map(unit) },
        ],
        series: [{}, ...series.map((one, n) => ({ label: one.name, stroke: style(colour(one.name, n)), width: 2, points: { show: one.values.filter((value) => value != null).length < 8, size: 5 } }))],
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
    const resized = new ResizeObserver(() => plot.setSize({ width: box.current.clientWidth, height: 150 }));
    resized.observe(box.current);
    return () => {
      resized.disconnect();
      plot.destroy();
    };
  }, [JSON.stringify([times[0], series]), isDark]);

  return html`<figure class="plot">
    <figcaption>
      ${href ? html`<a href=${href}>${title}</a>` : title}
      <small class="quiet">${series.length ? series.map((one, n) => html` <span class=${`state ${colour(one.name, n)}`}></span>${one.name.replaceAll("_", " ")} ${unit(one.total)}`) : " nothing yet"}</small>
    </figcaption>
    <div ref=${box} aria-hidden="true"></div>
    <details>
      <summary>Table</summary>
      <div class="scroll"><table>
        <thead><tr><th scope="col">From</th>${series.map((one) => html`<th scope="col">${one.name}</th>`)}</tr></thead>
        <tbody>
          ${times.map((at, n) => html`<tr><td>${time.format(at * 1000)}</td>${series.map((one) => html`<td class="figure">${unit(one.values[n])}</td>`)}</tr>`)}
        </tbody>
      </table></div>
    </details>
  </figure>`;
}
