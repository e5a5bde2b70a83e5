//! The dashboard: files that are in the binary. They ask the same API as everybody.

use http::StatusCode;

use super::{Answer, Asked};

/// By their paths under `/dashboard/`.
macro_rules! files {
    ($($path:literal),* $(,)?) => {
        const FILES: &[(&str, &[u8])] = &[$(($path, include_bytes!(concat!("dashboard/", $path)))),*];
    };
}

files!(
    "index.html",
    "style.css",
    "icon.svg",
    "js/alerts.js",
    "js/api.js",
    "js/app.js",
    "js/area.js",
    "js/budgets.js",
    "js/capture.js",
    "js/chart.js",
    "js/config.js",
    "js/dialog.js",
    "js/dom.js",
    "js/format.js",
    "js/keys.js",
    "js/live.js",
    "js/models.js",
    "js/overview.js",
    "js/playground.js",
    "js/request.js",
    "js/router.js",
    "js/signin.js",
    "js/table.js",
    "js/tenants.js",
    "js/theme.js",
    "js/usage.js",
    "vendor/uPlot.LICENSE",
    "vendor/uPlot.css",
    "vendor/uPlot.esm.js",
);

pub(super) fn index(_: &Asked<'_>) -> Answer {
    page("index.html")
}

pub(super) fn file(asked: &Asked<'_>) -> Answer {
    page(asked.name)
}

fn page(path: &str) -> Answer {
    match FILES.iter().find(|(name, _)| *name == path) {
        Some((_, body)) => Answer { content_type: content_type(path), ..Answer::json(StatusCode::OK, *body) },
        None => Answer::error(StatusCode::NOT_FOUND, "unknown_url", "no such path: see /admin/v1/openapi.json"),
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All together, so that it opens at once anywhere.
    const MOST_BYTES: usize = 200_000;

    fn walk(directory: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served_and_all_are_small() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin/dashboard");
        let mut found = Vec::new();
        walk(&root, &mut found);
        for path in &found {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
            assert_eq!(page(name).status, StatusCode::OK, "{name} is not in the list");
        }
        assert_eq!(found.len(), FILES.len());
        let bytes: usize = FILES.iter().map(|(_, body)| body.len()).sum();
        assert!(bytes < MOST_BYTES, "{bytes}");
    }
}
