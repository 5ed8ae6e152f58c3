//! Time in a story: it passes from one appointment to the next, and each is kept before the clock goes on.

use std::time::{Duration, Instant};

use jiff::SignedDuration;

use super::{LOOK_EVERY, World};

/// How long a daemon may stay as busy as it is: much, for machines with little, but less than its longest sleep. A
/// wake-up that somebody forgot is found so.
const QUIET_WITHIN: Duration = Duration::from_secs(25);

/// How long it may take in all, with one thing done after the other. One that makes itself busy turns in a circle.
const QUIET_AT_LAST: Duration = Duration::from_secs(600);

/// How often to see whether the disk makes the daemon wait, and from when on it does.
const DISK_EVERY: Duration = Duration::from_secs(1);

/// How many appointments a jump may meet. A daemon that makes more than that appointments turns in a circle.
const APPOINTMENTS_MAX: u32 = 4000;

impl World {
    /// Lets time pass: from one appointment to the next, and each is kept before the clock goes on.
    pub async fn after(&self, wait: SignedDuration) {
        let target = self.clock.now() + wait;
        for _ in 0..APPOINTMENTS_MAX {
            self.quiet().await;
            let now = self.clock.now();
            match self.next_appointment().filter(|at| *at < target) {
                Some(at) => self.clock.advance(at.duration_since(now).max(SignedDuration::ZERO)),
                None => {
                    self.clock.advance(target.duration_since(now).max(SignedDuration::ZERO));
                    return self.quiet().await;
                }
            }
        }
        panic!("more than {APPOINTMENTS_MAX} appointments: {:?}", self.leftovers());
    }

    /// Time passes while nobody looks: the clock jumps at once. For a daemon that is down, or a machine that slept.
    pub fn sleeps(&self, wait: SignedDuration) {
        self.clock.advance(wait);
    }

    /// Waits until nothing is due and nothing under way.
    pub async fn quiet(&self) {
        let began = Instant::now();
        let (mut since, mut disk, mut before) = (began, began, Vec::new());
        loop {
            let busy = self.busy();
            if busy.is_empty() {
                return;
            }
            let waits = disk.elapsed() > DISK_EVERY && {
                let waits = self.waits_for_the_disk().await;
                disk = Instant::now();
                waits
            };
            // Who gets on, or cannot get on, has not slept through a wake-up.
            if waits || busy != before {
                since = Instant::now();
            }
            let in_time = since.elapsed() < QUIET_WITHIN && began.elapsed() < QUIET_AT_LAST;
            assert!(in_time, "not quiet after {:?}: {busy:?}", began.elapsed());
            before = busy;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether a write takes long: then everything that the daemon has to do does.
    pub async fn waits_for_the_disk(&self) -> bool {
        let Some(running) = &self.running else { return false };
        let began = Instant::now();
        // What a story has the disk refuse is refused here too, and soon.
        let _ = running.daemon.engine.store.probe(self.clock.now()).await;
        began.elapsed() > DISK_EVERY
    }
}
