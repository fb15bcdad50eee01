//! The story as a site of files, with the lecture beside it, which needs neither a server nor a network.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::pages;
use crate::destination::Destination;
use crate::figures::{Figures, recorded};
use crate::lecture;

/// By this, a site that was exported before is recognized.
const MARK: &str = "<meta name=\"generator\" content=\"transport-lab export-site\">";

/// Writes the site into a directory, which is created if it is missing; the site that an earlier version has written there is replaced.
/// Returns its pages.
///
/// # Errors
/// When the directory contains anything else than such a site, or cannot be written.
pub fn export(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    ensure!(
        is_free(directory),
        "{} contains other files; name a new or empty directory, or one with a site that was exported before",
        directory.display()
    );
    reports::prepare(directory)?;
    let run = recorded()?;
    let mut pages = Vec::new();
    fs::create_dir_all(directory).with_context(|| format!("cannot make the directory {}", directory.display()))?;
    for file in pages::files(&run, Destination::File)? {
        let path = directory.join(file.name);
        fs::write(&path, file.content).with_context(|| format!("cannot write {}", path.display()))?;
        if file.name.ends_with(".html") {
            pages.push(path);
        }
    }
    pages.extend(lecture::write(&Figures::of(&run)?, &directory.join("lecture"))?);
    Ok(pages)
}

/// Whether the directory is missing, empty, or has such a site.
fn is_free(directory: &Path) -> bool {
    let is_site = || fs::read_to_string(directory.join("index.html")).is_ok_and(|page| page.contains(MARK));
    // One that cannot be read is reported when it is written to.
    fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none()) || is_site()
}
