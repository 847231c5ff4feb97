use std::collections::BTreeSet;
use std::path::Path;

use super::*;

/// How many bytes all of it has at the most.
const LARGEST: usize = 150 * 1024;

/// The files below a folder that pages are made of.
fn files(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if ["html", "js", "css", "svg"].iter().any(|end| path.extension().is_some_and(|it| it == *end)) {
            found.insert(std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn each_file_is_served_and_all_of_them_are_small() {
    let mut found = BTreeSet::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console"), &mut found);
    let served: BTreeSet<String> = ASSETS.iter().map(|asset| asset.text.to_owned()).collect();
    assert!(found == served, "a file of src/console is not among those that are served");
    let bytes: usize = ASSETS.iter().map(|asset| asset.text.len()).sum();
    assert!(bytes < LARGEST, "the console has {bytes} bytes");
}

#[test]
fn what_a_page_imports_is_served() {
    let known: BTreeSet<&str> = ASSETS.iter().map(|asset| asset.path).collect();
    for asset in ASSETS.iter().filter(|asset| asset.path.ends_with(".js")) {
        let imports =
            asset.text.lines().filter(|line| line.starts_with("import ")).filter_map(|line| line.split('"').nth(1));
        for import in imports {
            let (mut folder, mut rest) = (asset.path.rsplit_once('/').unwrap().0, import);
            rest = rest.strip_prefix("./").unwrap_or(rest);
            while let Some(above) = rest.strip_prefix("../") {
                (folder, rest) = (folder.rsplit_once('/').unwrap().0, above);
            }
            let path = format!("{folder}/{rest}");
            assert!(known.contains(path.as_str()), "{} imports {import}", asset.path);
        }
    }
}
