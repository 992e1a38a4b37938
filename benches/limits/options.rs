//! The command line.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::Result;
use crate::cells::Group;

#[derive(Debug)]
pub(crate) struct Options {
    groups: Vec<Group>,
    pub(crate) repeats: usize,
    pub(crate) under_load: bool,
    /// Seed of the virtual links in the first run; incremented for each further run.
    pub(crate) seed: u64,
}

impl Options {
    /// # Errors
    /// An argument that is neither an option nor a group.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            groups: Vec::new(),
            repeats: 1,
            under_load: false,
            seed: new_seed(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // Passed by cargo and by this program itself.
                "--bench" | crate::namespace::INSIDE => {}
                "--load" => options.under_load = true,
                "--repeats" => {
                    let number = arguments.next().and_then(|text| text.parse().ok());
                    let number = number.filter(|&number| number > 0);
                    options.repeats = number.ok_or("--repeats: give a number")?;
                }
                "--seed" => {
                    let number = arguments.next().and_then(|text| text.parse().ok());
                    options.seed = number.ok_or("--seed: give a number")?;
                }
                name => options.groups.push(Group::named(name)?),
            }
        }
        Ok(options)
    }

    /// Whether a group was named, or none.
    pub(crate) fn include(&self, group: Group) -> bool {
        self.groups.is_empty() || self.groups.contains(&group)
    }
}

/// A new seed for each run, so that the search is not tuned to a few. Short, so that it can be
/// retyped.
fn new_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(1, |it| u64::from(it.subsec_micros()))
}
