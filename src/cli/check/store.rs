//! The store's folder: can it be written to, and is there room. The store itself is not opened: a running daemon has it.

use std::fs::OpenOptions;
use std::path::Path;

use super::finding::Finding;

const FILE: &str = "store.file";
const SPACE: &str = "store.space";

const MIB: u64 = 1024 * 1024;

/// Below this a burst of webhooks can fill the disk within minutes, and what cannot be written is not answered 200.
const FREE_MIN: u64 = 100 * MIB;

/// Below this it is time to look.
const FREE_LOW: u64 = 1024 * MIB;

pub(super) fn look(path: &Path) -> Vec<Finding> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut findings = vec![writable(path, folder)];
    if let Ok(disk) = rustix::fs::statvfs(folder) {
        let taken = path.metadata().map_or(0, |file| file.len());
        findings.push(space(disk.f_bavail.saturating_mul(disk.f_frsize), taken, folder));
    }
    findings
}

fn writable(path: &Path, folder: &Path) -> Finding {
    let shown = path.display();
    if !folder.is_dir() {
        let says = format!("{shown}: its folder is not there");
        return Finding::fail(FILE, says, format!("sudo install -d -o relinkd -g relinkd -m 700 {}", folder.display()));
    }
    let own = format!("sudo chown -R relinkd: {}", folder.display());
    // SQLite makes files beside the store, so the folder matters as much as the file.
    if let Err(error) = tempfile::tempfile_in(folder) {
        return Finding::fail(FILE, format!("{}: no file can be made there: {error}", folder.display()), own);
    }
    match OpenOptions::new().write(true).open(path) {
        Ok(_) => Finding::pass(FILE, format!("{shown} can be written to")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Finding::pass(FILE, format!("{shown} is not there yet and can be made"))
        }
        Err(error) => Finding::fail(FILE, format!("{shown} cannot be written to: {error}"), own),
    }
}

fn space(free: u64, taken: u64, folder: &Path) -> Finding {
    let says = format!("{} MiB are free where the store is; it takes {} MiB", free / MIB, taken.div_ceil(MIB));
    let next = format!("df -h {}", folder.display());
    if free < FREE_MIN {
        Finding::fail(SPACE, says, next)
    } else if free < FREE_LOW {
        Finding::warn(SPACE, says).next(next)
    } else {
        Finding::pass(SPACE, says)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::finding::Level;
    use super::*;

    #[test]
    fn little_room_is_told_and_none_fails() {
        let level = |free| space(free, 5 * MIB, Path::new("/var/lib/relinkd")).level;
        assert_eq!(level(FREE_MIN - 1), Level::Fail);
        assert_eq!(level(FREE_MIN), Level::Warn);
        assert_eq!(level(FREE_LOW - 1), Level::Warn);
        assert_eq!(level(FREE_LOW), Level::Pass);
    }

    #[test]
    fn a_folder_that_is_missing_or_a_file_that_is_none_fails() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("relinkd.db");
        let level = |path: &Path| look(path)[0].level;
        assert_eq!(level(&store), Level::Pass);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left there");
        assert_eq!(level(&folder.path().join("missing/relinkd.db")), Level::Fail);
        std::fs::create_dir(&store).expect("made");
        std::fs::set_permissions(&store, std::fs::Permissions::from_mode(0o500)).expect("set");
        assert_eq!(level(&store), Level::Fail, "a folder stands where the file should");
    }
}
