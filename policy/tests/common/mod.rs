//! What the integration tests share: the reference files, and how messages are rendered.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme};
use portcullis_policy::{Problems, Source};
use portcullis_sdf::{System, Target};

/// A file of the project, by its path from the project's root.
pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A source, called by its path from the project's root.
pub(crate) fn source(path: &str) -> Arc<Source> {
    let text = std::fs::read_to_string(file(path)).unwrap();
    Arc::new(Source::new(path, text))
}

/// A system description, which must hold.
pub(crate) fn system(source: &Source) -> System {
    portcullis_sdf::parse(source.text(), &Target::ANY).unwrap()
}

/// What a terminal of 100 columns without colours shows.
pub(crate) fn render(problems: &Problems) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .with_links(false);
    let mut text = String::new();
    for problem in problems.iter() {
        handler.render_report(&mut text, problem).unwrap();
        text.push('\n');
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n").trim_end())
}
