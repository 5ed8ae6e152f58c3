//! The figures, as Markdown.

/// Times of the same thing, in milliseconds.
pub struct Latencies(pub Vec<f64>);

impl Latencies {
    fn at(&self, hundredth: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let place = (sorted.len() * hundredth).div_ceil(100).max(1) - 1;
        sorted.get(place).copied().unwrap_or_default()
    }

    pub fn p50(&self) -> f64 {
        self.at(50)
    }

    pub fn p99(&self) -> f64 {
        self.at(99)
    }

    pub fn most(&self) -> f64 {
        self.at(100)
    }
}

/// One import.
pub struct Import {
    pub rows: usize,
    pub seconds: f64,
    /// The daemon's CPU seconds.
    pub cpu: f64,
    /// The most memory that the daemon had so far.
    pub memory_mib: u64,
    /// What others waited meanwhile.
    pub others: Latencies,
}

pub fn imports(imports: &[(&str, Import)], size_mib: u64) {
    println!("| | rows | seconds | rows a second | CPU s | peak MiB | others wait p50 / p99 / most ms |");
    println!("|---|---|---|---|---|---|---|");
    for (name, import) in imports {
        let (rows, seconds) = (import.rows, import.seconds);
        let rate = rows as f64 / seconds;
        let (p50, p99, most) = (import.others.p50(), import.others.p99(), import.others.most());
        let (cpu, memory) = (import.cpu, import.memory_mib);
        println!(
            "| {name} | {rows} | {seconds:.1} | {rate:.0} | {cpu:.1} | {memory} | {p50:.1} / {p99:.1} / {most:.1} |"
        );
    }
    println!("\nThe store's files are {size_mib} MiB.\n");
}

pub fn lists(lists: &[(String, Latencies)], memory_mib: u64) {
    println!("| asked for over HTTP, 100 entries a page | p50 ms | p99 ms |");
    println!("|---|---|---|");
    for (name, latencies) in lists {
        println!("| {name} | {:.2} | {:.2} |", latencies.p50(), latencies.p99());
    }
    println!("\nThe daemon's memory stayed below {} MiB.\n", memory_mib + 1);
}

pub fn plans(plans: &[(&str, Vec<f64>)]) {
    println!("| asked of the store | p50 ms | most ms |");
    println!("|---|---|---|");
    for (name, times) in plans {
        let times = Latencies(times.clone());
        println!("| {name} | {:.2} | {:.2} |", times.p50(), times.most());
    }
}
