//! The story as a site of files, with the lecture beside it, which needs neither a server nor a network.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::pages;
use crate::destination::Destination;
use crate::figures::{Figures, recorded};
use crate::lecture;

/// A file by which a site that was exported before is recognized.
const MARK: &str = "exported-by-transport-lab.txt";
/// The folder of the lecture.
const LECTURE: &str = "lecture";

/// Writes the site into a directory, which is created if it is missing; the site that was exported there before is replaced. Returns its pages.
///
/// # Errors
/// When the directory contains a file that is not of such a site, or cannot be read or written.
pub fn export(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let run = recorded()?;
    let files = pages::files(&run, Destination::Site)?;
    let figures = Figures::with_later(run)?;
    let own: Vec<&str> = files.iter().map(|file| file.name).chain([MARK, LECTURE]).collect();
    ensure_free(directory, &own)?;
    fs::create_dir_all(directory).with_context(|| format!("cannot make the directory {}", directory.display()))?;
    let write = |name: &str, content: &str| {
        let path = directory.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        anyhow::Ok(path)
    };
    write(MARK, "The command export-site replaces the files of this directory.\n")?;
    let mut pages = Vec::new();
    for file in &files {
        let path = write(file.name, &file.content)?;
        if file.name.ends_with(".html") {
            pages.push(path);
        }
    }
    pages.extend(lecture::write(&figures, Destination::Site, &directory.join(LECTURE))?);
    Ok(pages)
}

/// Fails unless the directory is missing or empty, or an exported site with no files but its `own`.
fn ensure_free(directory: &Path, own: &[&str]) -> anyhow::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("cannot use {} as a directory", directory.display()))?,
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<Vec<_>, _>>()?;
    let is_site = directory.join(MARK).exists();
    match names.iter().find(|name| !is_site || !own.iter().any(|own| **name == **own)) {
        None => Ok(()),
        Some(name) => bail!(
            "{} contains {}, which is not of an exported site; name a new or empty directory, or one with a site that was exported before",
            directory.display(),
            name.display()
        ),
    }
}
