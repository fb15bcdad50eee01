//! Compiles the current commit into the program, so that each result contains the commit that it was measured with.

use std::process::Command;

fn main() {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .arg("--no-optional-locks")
            .args(arguments)
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).map_or("unknown".into(), |commit| {
        let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|files| !files.is_empty());
        format!("{}{}", commit.trim(), if changed { "-dirty" } else { "" })
    });
    println!("cargo::rustc-env=LAB_COMMIT={commit}");
    // The sources of the program, and a file that changes with each commit.
    for path in ["../.git/logs/HEAD", "../Cargo.lock", "../protocol", "../server", "../reports/src", "src"] {
        if std::path::Path::new(path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}
