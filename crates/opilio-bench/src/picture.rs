//! Draws the measurements as bars: one row for each crawl, next to the row of the floor that it is compared with.

use std::fmt::Write;

use crate::harness::WorkloadRuns;
use crate::workload::Who;

/// Returns an SVG image of the CPU time per page in every workload. Its colours are light or dark, as the reader's
/// system is set.
pub(crate) fn draw(measured: &[WorkloadRuns]) -> String {
    let mut body = String::new();
    let mut y = 0;
    for it in measured {
        y += HEAD;
        let name = format!("{}: CPU ms a page", it.workload.about);
        text(&mut body, "head", (0, y - 10), &name);
        let figures = it.figures();
        let most = figures.iter().map(|it| it.cpu_ms).fold(f64::MIN_POSITIVE, f64::max);
        for (n, (case, figure)) in it.workload.cases.iter().zip(&figures).enumerate() {
            let class = match case.who {
                Who::List(_) | Who::Crawl(_) => "floor",
                Who::Opilio(_) => "opilio",
                Who::Peer(_) => "peer",
            };
            let width = (figure.cpu_ms / most * f64::from(BARS)).max(1.0);
            let height = ROW - 6;
            // Writing to a `String` cannot fail.
            let _ = writeln!(
                body,
                r#"<rect class="{class}" x="{LABELS}" y="{}" width="{width:.1}" height="{height}" rx="2"/>"#,
                y + 3
            );
            text(&mut body, "label", (0, y + ROW - 8), &case.name);
            let ratio = it.ratio(n).map(|ratio| format!(" ({ratio:.2} ×)")).unwrap_or_default();
            let x = LABELS + width as i32 + 6;
            text(&mut body, "label", (x, y + ROW - 8), &format!("{:.3}{ratio}", figure.cpu_ms));
            y += ROW;
        }
        y += 8;
    }
    let width = LABELS + BARS + 110;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-10 0 {} {}\" role=\"img\">\n{STYLE}{body}</svg>\n",
        width + 20,
        y + 10
    )
}

fn text(out: &mut String, class: &str, (x, y): (i32, i32), text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, r#"<text class="{class}" x="{x}" y="{y}">{text}</text>"#);
}

const LABELS: i32 = 190;
const BARS: i32 = 420;
const ROW: i32 = 24;
const HEAD: i32 = 34;
const STYLE: &str = "<style>\n\
text{font:13px system-ui,sans-serif;fill:#333}.head{font-weight:600;font-size:14px}\n\
.floor{fill:#b8bec6}.opilio{fill:#2f855a}.peer{fill:#c98b4b}\n\
@media (prefers-color-scheme:dark){text{fill:#ddd}.floor{fill:#5d6570}.opilio{fill:#48bb78}.peer{fill:#c98b4b}}\n\
</style>\n";
