//! The figures as one page, which needs nothing from elsewhere.

use std::fmt::Write;

use serde_json::Value;

use super::figures;

/// One line of a plot.
struct Line<'a> {
    name: &'a str,
    class: &'a str,
    points: Vec<Option<f64>>,
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--faint:#d5dae0;--a:#1763c6;--b:#c2410c;--c:#15803d}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--paper:#14171b;--faint:#3a414a;--a:#6ea8fe;--b:#fb923c;--c:#4ade80}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse}th,td{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top;border-bottom:1px solid var(--faint)}
th{white-space:nowrap;font-weight:600}
svg{width:100%;height:auto}text{fill:var(--ink);font-size:11px}.grid{stroke:var(--faint)}
polyline{fill:none;stroke-width:1.5}.a{stroke:var(--a)}.b{stroke:var(--b)}.c{stroke:var(--c)}
.key span{margin-right:1.2rem}.key i{display:inline-block;width:1.2em;border-top:3px solid;margin-right:.4em;vertical-align:middle}
i.a{border-color:var(--a)}i.b{border-color:var(--b)}i.c{border-color:var(--c)}";

/// How many points a line has at the most: of more seconds each shows the highest of several.
const MOST_POINTS: usize = 900;

pub(super) fn page(found: &Value) -> String {
    let seconds = found["timeline"].as_array().map_or(&[][..], Vec::as_slice);
    let each = |key: &str| seconds.iter().map(|second| second[key].as_f64()).collect::<Vec<_>>();
    let failed =
        |second: &Value| second["errors"].as_object().map(|kinds| kinds.values().filter_map(Value::as_f64).sum());
    let cpu = each("server_cpu_seconds");
    let used = (0..cpu.len()).map(|n| Some((cpu[n]? - cpu[n.checked_sub(1)?]?).max(0.0) * 100.0)).collect();
    let mib = each("server_resident_bytes").into_iter().map(|bytes| Some(bytes? / 1_048_576.0)).collect();
    let line = |name, class, points| Line { name, class, points };
    let plots = [
        (
            "How long requests took, in ms",
            vec![
                line("longest", "b", each("max_ms")),
                line("p99", "a", each("p99_ms")),
                line("p50", "c", each("p50_ms")),
            ],
        ),
        (
            "Requests a second",
            vec![
                line("due", "a", each("due")),
                line("went well", "c", each("ok")),
                line("failed", "b", seconds.iter().map(failed).collect()),
            ],
        ),
        ("CPU of the server, in % of one", vec![line("CPU", "a", used)]),
        ("Memory of the server, in MiB", vec![line("in use", "a", mib)]),
        ("Open files of the server", vec![line("open", "a", each("server_open_files"))]),
    ];
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>Load of {tool}</title>\n<style>{STYLE}</style>\n<h1>Load of {tool}</h1>\n<p>Begun {begun}.</p>\n<table>\n",
        tool = escaped(found["tool"].as_str().unwrap_or_default()),
        begun = escaped(found["begun"].as_str().unwrap_or_default()),
    );
    for (name, value) in figures(found) {
        // A text cannot fail to take what is written.
        let _ = writeln!(html, "<tr><th scope=\"row\">{name}</th><td>{}</td></tr>", escaped(&value));
    }
    html.push_str("</table>\n");
    for (title, lines) in plots {
        plot(&mut html, title, &lines);
    }
    html.push_str("<p>Each request is timed from the moment at which it was due; those that failed are in no time.</p>\n</html>\n");
    html
}

#[expect(clippy::cast_precision_loss, reason = "numbers of seconds are small")]
fn plot(html: &mut String, title: &str, lines: &[Line<'_>]) {
    const WIDTH: f64 = 900.0;
    const HEIGHT: f64 = 200.0;
    const LEFT: f64 = 55.0;
    let count = lines.iter().map(|line| line.points.len()).max().unwrap_or(0);
    let top = lines.iter().flat_map(|line| line.points.iter().flatten()).copied().fold(0.0, f64::max);
    let _ = writeln!(html, "<h2>{title}</h2>");
    if lines.iter().all(|line| line.points.iter().all(Option::is_none)) {
        html.push_str("<p>– (not told)</p>\n");
        return;
    }
    let top = if top > 0.0 { top * 1.05 } else { 1.0 };
    let x = |second: usize| LEFT + (WIDTH - LEFT - 5.0) * second as f64 / (count.max(2) - 1) as f64;
    let y = |value: f64| HEIGHT - 20.0 - (HEIGHT - 30.0) * value / top;
    let _ = writeln!(html, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">");
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let at = y(value);
        let _ = writeln!(
            html,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            short(value)
        );
    }
    let _ = writeln!(
        html,
        "<text x=\"{LEFT}\" y=\"{HEIGHT}\">0 s</text><text x=\"{WIDTH}\" y=\"{HEIGHT}\" text-anchor=\"end\">{} s</text>",
        count.saturating_sub(1)
    );
    for line in lines {
        for part in pieces(&line.points) {
            let points: String =
                part.iter().map(|(second, value)| format!("{:.1},{:.1} ", x(*second), y(*value))).collect();
            let _ = writeln!(html, "<polyline class=\"{}\" points=\"{}\"/>", line.class, points.trim_end());
        }
    }
    html.push_str("</svg>\n<p class=\"key\">");
    for line in lines {
        let _ = write!(html, "<span><i class=\"{}\"></i>{}</span>", line.class, line.name);
    }
    html.push_str("</p>\n");
}

/// The points that hang together: where a second tells nothing, the line is broken.
fn pieces(points: &[Option<f64>]) -> Vec<Vec<(usize, f64)>> {
    let several = points.len().div_ceil(MOST_POINTS).max(1);
    let highest = |chunk: &[Option<f64>]| chunk.iter().flatten().copied().reduce(f64::max);
    let thinned: Vec<_> = points.chunks(several).enumerate().map(|(n, chunk)| (n * several, highest(chunk))).collect();
    let told = thinned.split(|(_, value)| value.is_none()).filter(|piece| !piece.is_empty());
    let mut pieces: Vec<Vec<_>> =
        told.map(|piece| piece.iter().filter_map(|(at, value)| Some((*at, (*value)?))).collect()).collect();
    // A point alone is a dot of a line.
    for piece in pieces.iter_mut().filter(|piece| piece.len() == 1) {
        piece.push(piece[0]);
    }
    pieces
}

fn short(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_shows_all_and_asks_nobody() {
        let second = |p99: f64| json!({"due": 10, "ok": 9, "errors": {"http 503": 1}, "p50_ms": 1.0, "p99_ms": p99, "max_ms": p99});
        let found = json!({
            "tool": "<script>", "url": "http://127.0.0.1:8000", "errors": {"http 503": 2}, "error_rate": 0.1,
            "server": null, "timeline": [second(5.0), second(7.5)],
        });
        let page = page(&found);
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "what comes from elsewhere is text");
        assert!(page.contains("10 %: 2 http 503") && page.contains("prefers-color-scheme:dark"));
        assert_eq!(page.matches("<polyline").count(), 6, "three lines of two plots; of the server nothing is told");
        assert_eq!(page.matches("(not told)").count(), 3);
        for foreign in ["src=", "href=", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_line_is_broken_where_nothing_is_told_and_keeps_its_peaks() {
        assert_eq!(
            pieces(&[Some(1.0), None, Some(2.0), Some(3.0)]),
            [vec![(0, 1.0), (0, 1.0)], vec![(2, 2.0), (3, 3.0)]]
        );
        let mut day = vec![Some(1.0); 86_400];
        day[40_001] = Some(9.0);
        let pieces = pieces(&day);
        assert!(pieces[0].len() <= MOST_POINTS && pieces[0].iter().any(|(_, value)| *value == 9.0));
    }
}
