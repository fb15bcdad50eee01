//! Rules for the sources themselves, which the compiler does not check: no list of transports stands for a property of the table, no match
//! leaves transports to a catch-all, and no two files import each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates, and the names by which sources call them.
const CRATES: [&str; 5] = ["protocol", "server", "bench-client", "reports", "slides"];
/// The table itself, where transports are listed.
const TABLE: &str = "protocol/src/transport.rs";
/// The most transports that an experiment may name together: those that it compares.
const MAX_NAMED: usize = 2;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// All Rust files below a folder, with their paths from the root of the project.
fn rust_files(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The part of a source before its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap()
}

/// The sources and benches of all crates, without tests and without the table.
fn sources() -> Vec<(String, String)> {
    let folders = CRATES.iter().flat_map(|name| [format!("{name}/src"), format!("{name}/benches")]);
    let files = folders.flat_map(|folder| rust_files(&folder)).filter(|(name, _)| name != TABLE);
    files.map(|(name, text)| (name, without_tests(&text).to_string())).collect()
}

/// The longest lists of transports in a source, as the number of a line and what stands there.
fn lists(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("Transport::") {
        let line = text.len() - rest.len() + at;
        let (mut named, mut after) = (0, &rest[at..]);
        // Names that follow each other with nothing but a separator between them.
        while let Some(name) = after.strip_prefix("Transport::").filter(|name| name.starts_with(char::is_uppercase)) {
            named += 1;
            let end = name.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(name.len());
            after = name[end..].trim_start_matches([',', '|', ' ', '\n']);
        }
        if named > MAX_NAMED {
            found.push((text[..line].lines().count(), named));
        }
        rest = if named == 0 { &rest[at + 1..] } else { after };
    }
    found
}

/// The lines with a catch-all in a match whose other arms name transports.
fn catch_alls(text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let names_one = |line: &str| {
        let pattern = line.trim_start();
        pattern.contains("=>") && (pattern.starts_with("Transport::") || pattern.starts_with("Some(Transport::"))
    };
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| names_one(line)) {
        let same_match = lines[number + 1..]
            .iter()
            .enumerate()
            .take_while(|(_, other)| other.trim().is_empty() || indent(other) >= indent(line));
        let mut arms = same_match.filter(|(_, other)| indent(other) == indent(line));
        found.extend(
            arms.find(|(_, other)| other.trim_start().starts_with("_ =>")).map(|(offset, _)| number + offset + 2),
        );
    }
    found
}

#[test]
fn no_list_of_transports_stands_for_a_property_of_the_table() {
    let found: Vec<String> = sources()
        .iter()
        .flat_map(|(name, text)| {
            lists(text).into_iter().map(move |(line, named)| {
                format!("{name}:{line}: {named} transports in a row; a property of the table should select them")
            })
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_match_over_transports_has_a_catch_all() {
    let found: Vec<String> = sources()
        .iter()
        .flat_map(|(name, text)| catch_alls(text).into_iter().map(move |line| format!("{name}:{line}")))
        .collect();
    assert!(found.is_empty(), "a new transport would be skipped silently in {}", found.join(", "));
}

#[test]
fn the_rules_find_what_they_look_for() {
    assert_eq!(lists("\nlet a = [Transport::Polling,\n    Transport::Sse, Transport::Tcp];"), [(2, 3)]);
    assert!(lists("(Transport::Polling, Transport::Sse, 1); Transport::all_where(f)").is_empty());
    assert_eq!(catch_alls("match t {\n    Transport::Sse => 1,\n    _ => 2,\n}"), [3]);
    assert!(
        catch_alls("match t {\n    Transport::Sse => 1,\n    Transport::Tcp => 2,\n}\nmatch n {\n    _ => 1,\n}")
            .is_empty()
    );
    let files = [("a.rs", "use crate::b::B;"), ("b.rs", "use crate::a::{self, A};"), ("lib.rs", "mod a;\nmod b;")];
    let graph = imports(&files.map(|(name, text)| (name.to_string(), text.to_string())));
    assert_eq!(cycle(&graph), Some(vec!["a.rs".to_string(), "b.rs".to_string()]));
}

#[test]
fn no_two_files_import_each_other() {
    for name in CRATES {
        let folder = format!("{name}/src");
        let files: Vec<(String, String)> = rust_files(&folder)
            .into_iter()
            .map(|(path, text)| (path[folder.len() + 1..].to_string(), without_tests(&text).to_string()))
            .collect();
        let found = cycle(&imports(&files));
        assert!(found.is_none(), "{folder}: {} import each other", found.unwrap_or_default().join(" -> "));
    }
}

/// Which files each file imports from, within a crate. Re-exports are followed to the file that defines the name, and count as no import
/// themselves.
fn imports(files: &[(String, String)]) -> BTreeMap<String, BTreeSet<String>> {
    let modules: BTreeMap<String, &String> = files.iter().map(|(name, _)| (module(name), name)).collect();
    let mut exported: BTreeMap<String, String> = BTreeMap::new();
    for (name, text) in files {
        let own = module(name);
        for path in uses(text, &["pub use ", "pub(crate) use ", "pub(super) use "]) {
            let path = absolute(&path, &own, &modules);
            if let Some(item) = path.rsplit("::").next() {
                exported.insert(join(&own, item), path.clone());
            }
        }
    }
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in files {
        let own = module(name);
        let edges = graph.entry(name.clone()).or_default();
        for path in uses(text, &["use "]) {
            let mut path = absolute(&path, &own, &modules);
            while let Some(target) = exported.get(&path).filter(|target| **target != path) {
                path = target.clone();
            }
            // The longest part of the path that is a module.
            let mut part = path.as_str();
            let file = loop {
                match (modules.get(part), part.rsplit_once("::")) {
                    (Some(file), _) if !part.is_empty() => break Some(*file),
                    (_, Some((shorter, _))) => part = shorter,
                    (_, None) => break None,
                }
            };
            edges.extend(file.filter(|file| **file != *name).cloned());
        }
    }
    graph
}

/// The module of a file: `a/b.rs` and `a/b/mod.rs` are `a::b`, the root is empty.
fn module(file: &str) -> String {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    if matches!(path, "lib" | "main") { String::new() } else { path.replace('/', "::") }
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_string() } else { format!("{module}::{name}") }
}

/// A path within the crate, from its root; empty for a path to another crate.
fn absolute(path: &str, own: &str, modules: &BTreeMap<String, &String>) -> String {
    let mut base = own.to_string();
    let mut rest = path;
    if let Some(inner) = rest.strip_prefix("crate::") {
        return inner.to_string();
    }
    while let Some(inner) = rest.strip_prefix("super::") {
        base = base.rsplit_once("::").map_or(String::new(), |(parent, _)| parent.to_string());
        rest = inner;
    }
    rest = rest.strip_prefix("self::").unwrap_or(rest);
    let candidate = join(&base, rest);
    let first = join(&base, rest.split("::").next().unwrap_or_default());
    // A path without `crate`, `super` or `self` names a module below this one, or another crate.
    if rest != path || modules.contains_key(&first) { candidate } else { String::new() }
}

/// The paths that a source imports by statements with one of these beginnings, each group taken apart.
fn uses(text: &str, beginnings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(start) = beginnings.iter().find_map(|beginning| line.strip_prefix(beginning)) else { continue };
        let mut statement = start.to_string();
        while !statement.contains(';') {
            let Some(more) = lines.next() else { break };
            statement += more.trim();
        }
        expand("", statement.split(';').next().unwrap_or_default(), &mut found);
    }
    found
}

/// Takes `a::{b, c::{d}}` apart into `a::b` and `a::c::d`.
fn expand(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((path, group)) = tree.split_once('{') else {
        let item = tree.split(" as ").next().unwrap_or_default().trim();
        let path = format!("{prefix}{item}");
        found.push(path.strip_suffix("::self").unwrap_or(&path).to_string());
        return;
    };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut depth, mut start) = (0, 0);
    for (at, letter) in group.char_indices().chain([(group.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !group[start..at].trim().is_empty() {
                    expand(&format!("{prefix}{path}"), &group[start..at], found);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// Files that import each other in a circle, if there are any.
fn cycle(graph: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn visit(
        file: &String,
        graph: &BTreeMap<String, BTreeSet<String>>,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|other| other == file) {
            return Some(path[start..].to_vec());
        }
        if done.contains(file) {
            return None;
        }
        path.push(file.clone());
        let found = graph.get(file).into_iter().flatten().find_map(|other| visit(other, graph, path, done));
        path.pop();
        done.insert(file.clone());
        found
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|file| visit(file, graph, &mut Vec::new(), &mut done))
}
