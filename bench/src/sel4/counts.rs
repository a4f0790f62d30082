//! What the counting image prints, read and held to be steady.

use std::collections::BTreeMap;
use std::fmt;

/// Part of the median that the samples of a series may differ by: a wait ends in another state.
const STEADY: f64 = 0.05;
/// Instructions that they may differ by in any case: the numbers in a record get longer. A timer
/// interrupt would be more.
const DIGITS: f64 = 150.0;

/// Everything that was counted on one kernel.
#[derive(Debug)]
pub(super) struct Counts {
    /// Instructions of a step of the counter.
    unit: f64,
    series: BTreeMap<String, Series>,
}

/// Samples of one operation, in steps of the counter.
#[derive(Debug)]
struct Series {
    /// Operations of a sample.
    operations: f64,
    samples: f64,
    total: f64,
    minimum: f64,
    median: f64,
    maximum: f64,
}

/// Why what was printed is of no use.
#[derive(Debug)]
pub(super) enum Unusable {
    /// A line that does not read, or none at all.
    Garbled(String),
    /// The samples of this series differ.
    Unsteady(String),
}

impl Counts {
    /// Reads the lines of the serial line.
    pub(super) fn read(lines: &[String]) -> Result<Self, Unusable> {
        let mut unit = None;
        let mut series = BTreeMap::new();
        for line in lines {
            let mut words = line.split(' ');
            let garbled = || Unusable::Garbled(line.clone());
            match words.next() {
                Some("unit") => unit = words.next().and_then(|it| it.parse().ok()),
                Some("count") => {
                    let name = words.next().ok_or_else(garbled)?.to_owned();
                    let numbers = words.map(str::parse).collect::<Result<Vec<f64>, _>>();
                    let numbers = numbers.ok().and_then(|it| <[f64; 6]>::try_from(it).ok());
                    series.insert(name, Series::of(numbers.ok_or_else(garbled)?));
                }
                // A debug kernel prints other things.
                _ => {}
            }
        }
        let unit = unit.ok_or_else(|| Unusable::Garbled("no unit".to_owned()))?;
        let mut unsteady = series.iter().filter(|(_, series)| !series.is_steady(unit));
        match unsteady.next() {
            Some((name, series)) => Err(Unusable::Unsteady(format!("{name}: {series:?}"))),
            None => Ok(Self { unit, series }),
        }
    }

    /// Instructions of an operation, on average, without those of reading the counter.
    pub(super) fn of(&self, name: &str) -> f64 {
        let series = self.series(name);
        self.instructions(series, series.total / series.samples, name)
    }

    /// Prints every series: instructions on average, least, median and most.
    pub(super) fn print(&self, kernel: &str) {
        eprintln!("{kernel}: instructions, on average (least, median, most)");
        for (name, series) in &self.series {
            let [least, median, most] = [series.minimum, series.median, series.maximum]
                .map(|steps| self.instructions(series, steps, name));
            let average = self.of(name);
            eprintln!("  {name:<18} {average:>12.1} ({least:.1}, {median:.1}, {most:.1})");
        }
    }

    fn instructions(&self, series: &Series, steps: f64, name: &str) -> f64 {
        let overhead = match name {
            NOTHING | MANAGER_NOTHING => 0.0,
            // Only calls are counted by the client.
            _ if series.operations > 1.0 => self.series(NOTHING).average(),
            _ => self.series(MANAGER_NOTHING).average(),
        };
        (steps - overhead) * self.unit / series.operations
    }

    fn series(&self, name: &str) -> &Series {
        let found = self.series.get(name);
        found.unwrap_or_else(|| panic!("images/tests/counts measures {name}"))
    }
}

/// What reading the counter costs, in the client and in the manager.
const NOTHING: &str = "nothing";
const MANAGER_NOTHING: &str = "manager-nothing";

impl Series {
    fn of([operations, samples, total, minimum, median, maximum]: [f64; 6]) -> Self {
        Self {
            operations,
            samples,
            total,
            minimum,
            median,
            maximum,
        }
    }

    fn average(&self) -> f64 {
        self.total / self.samples
    }

    /// Whether the samples are alike: but for the two steps of `unit` instructions that any difference
    /// can be off by.
    fn is_steady(&self, unit: f64) -> bool {
        let most = (STEADY * self.median).max(DIGITS / unit);
        self.maximum - self.minimum <= 2.0 + most
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Garbled(line) => write!(f, "the counting image printed '{line}'"),
            Self::Unsteady(series) => write!(f, "the samples differ too much of {series}"),
        }
    }
}

impl std::error::Error for Unusable {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(printed: &str) -> Result<Counts, Unusable> {
        let lines: Vec<String> = printed.lines().map(str::to_owned).collect();
        Counts::read(&lines)
    }

    #[test]
    fn what_reading_the_counter_takes_is_subtracted() {
        let printed = "LDR|INFO: a debug kernel's line\nunit 16\ncount nothing 1 4 2 0 1 1\n\
                       count manager-nothing 1 4 4 1 1 1\ncount call 64 2 401 200 201 201\n\
                       count issue 1 2 22 11 11 11\nend";
        let counts = read(printed).unwrap();
        assert_eq!(counts.of("call"), (200.5 - 0.5) * 16.0 / 64.0);
        assert_eq!(counts.of("issue"), 160.0);
    }

    #[test]
    fn samples_that_differ_and_lines_that_do_not_read_are_of_no_use() {
        let call = |numbers| {
            read(&format!(
                "unit 1\ncount nothing 1 1 2 2 2 2\ncount {numbers}"
            ))
        };
        assert!(call("issue 1 31 3100 40 100 192").is_ok());
        assert!(call("issue 1 31 3100 40 100 193").is_err());
        assert!(call("call 64 31 310000 9800 10000 10302").is_ok());
        let unsteady = call("call 64 31 310000 9800 10000 10303")
            .unwrap_err()
            .to_string();
        assert!(unsteady.contains("call"), "{unsteady}");
        for garbled in ["call 64 31 3100 98 100", "call 64 31 many 98 100 105", ""] {
            assert!(
                matches!(call(garbled), Err(Unusable::Garbled(_))),
                "{garbled}"
            );
        }
        assert!(matches!(
            read("count nothing 1 1 2 2 2 2"),
            Err(Unusable::Garbled(_))
        ));
    }
}
