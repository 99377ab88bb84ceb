//! The bounded form of the fuzz targets: the kept inputs of `tests/fuzz/corpus`, and a fixed number of variations of them.
//!
//! Invariant: two runs try the same inputs. Nothing is drawn from a clock, a process or an address.

use std::fs;
use std::path::Path;

mod mutate;

use mutate::Mutator;

/// What a target does with an input: it panics when its invariant does not hold.
pub type Run = fn(&[u8]);

/// Runs each target on the inputs that are kept for it and on so many variations of them. The part of a target's name in
/// front of its dot names the folder: `ownership.azure` and `ownership.etcd` share one.
///
/// # Panics
/// When a target does, or has no input; the others are run before. The input is printed, as text and ready to be kept.
pub fn replay(targets: &[(&str, usize, Run)]) {
    let fails = |(target, variations, run): &&(&str, usize, Run)| {
        std::panic::catch_unwind(|| replay_one(target, *variations, *run)).is_err()
    };
    let failed: Vec<&str> = targets.iter().filter(fails).map(|(target, ..)| *target).collect();
    assert!(failed.is_empty(), "these targets fail: {}", failed.join(", "));
}

fn replay_one(target: &str, variations: usize, run: Run) {
    let inputs = kept(target.split('.').next().unwrap_or(target));
    assert!(!inputs.is_empty(), "no input is kept for {target}");
    for input in &inputs {
        one(target, input, run);
    }
    let mut mutator = Mutator::new(&inputs);
    for _ in 0..variations {
        one(target, &mutator.next_input(), run);
    }
}

/// The inputs of a folder, in the order of their names.
fn kept(folder: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(folder);
    let entries = fs::read_dir(&path).map(|entries| entries.flatten().map(|entry| entry.path()));
    let mut files: Vec<_> = entries.into_iter().flatten().collect();
    files.sort();
    files.iter().filter_map(|file| fs::read(file).ok()).collect()
}

fn one(target: &str, input: &[u8], run: Run) {
    let _told = Told { target, input };
    run(input);
}

/// Prints the input when the target panics.
struct Told<'a> {
    target: &'a str,
    input: &'a [u8],
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { target, input } = self;
            let octal: String = input.iter().map(|byte| format!("\\{byte:03o}")).collect();
            eprintln!(
                "{target} fails on {:?}\nkeep it: printf '{octal}' > tests/fuzz/corpus/FOLDER/NAME",
                String::from_utf8_lossy(input)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    static SEEN: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

    #[test]
    fn two_runs_try_the_same_inputs_and_few_of_them_twice() {
        let seen = || {
            replay(&[("dns_name", 500, |input| SEEN.lock().unwrap().push(input.to_vec()))]);
            std::mem::take(&mut *SEEN.lock().unwrap())
        };
        let (first, second) = (seen(), seen());
        assert_eq!(first, second);
        let mut different = first.clone();
        different.sort();
        different.dedup();
        assert!(different.len() > 400, "{} of {}", different.len(), first.len());
    }
}
