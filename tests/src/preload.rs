//! What goes wrong inside one process without a change of its code: its clock jumps, its disk is full or read-only, it is
//! killed between two steps of writing a file. A small library is loaded into it before the C library; clocks other than the
//! wall clock go on as they did.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// What is wrong with a disk; the numbers are those of errno(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// As it should be.
    Good = 0,
    /// Files can be made, and nothing can be written into them.
    Full = 28,
    /// Nothing can be made or written.
    ReadOnly = 30,
}

/// The other end of `preload.c`, for one process. It has a folder, for the process to write to.
#[derive(Debug)]
pub struct Preload {
    folder: TempDir,
    control: File,
}

/// Where the fields of `struct control` are.
const AHEAD: u64 = 0;
const FAULT: u64 = 8;
const KILL_AT: u64 = 16;

impl Preload {
    /// Builds the library.
    ///
    /// # Panics
    /// When there is no C compiler.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = folder.path().join("preload.c");
        fs::write(&source, include_str!("preload.c")).expect("the temporary folder can be written to");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
        let built = compiler.arg(folder.path().join("preload.so")).arg(&source).arg("-ldl").output();
        let built = built.expect("cc can be started");
        assert!(built.status.success(), "cc: {}", String::from_utf8_lossy(&built.stderr));
        let control = File::create(folder.path().join("control")).expect("the folder can be written to");
        control.write_all_at(&[0; 24], 0).expect("the folder can be written to");
        let preload = Self { folder, control };
        fs::create_dir(preload.state_dir()).expect("the folder can be written to");
        preload
    }

    /// The folder whose disk it is.
    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// What the process has to be started with.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        let path = |path: PathBuf| path.display().to_string();
        [
            ("LD_PRELOAD", path(self.folder.path().join("preload.so"))),
            ("PRELOAD_CONTROL", path(self.folder.path().join("control"))),
            ("PRELOAD_FOLDER", path(self.state_dir())),
        ]
    }

    fn set(&self, field: u64, value: i64) {
        self.control.write_all_at(&value.to_ne_bytes(), field).expect("the control file can be written to");
    }

    /// Its clock is so many seconds ahead of the machine's, from now on.
    pub fn set_clock(&self, ahead: i64) {
        self.set(AHEAD, ahead);
    }

    /// Its folder is on such a disk, from now on.
    pub fn set_disk(&self, disk: Disk) {
        self.set(FAULT, disk as i64);
    }

    /// Kills it (-9) before the `step`th time from now on that it opens a file of its folder for writing, writes to one, or has
    /// one written to disk. Counted from 1; 0: never.
    pub fn kill_at(&self, step: usize) {
        self.set(KILL_AT, i64::try_from(step).expect("a small number"));
    }
}

impl Default for Preload {
    fn default() -> Self {
        Self::new()
    }
}
