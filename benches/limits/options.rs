//! What the command line asks for.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::Result;
use crate::cells::Group;

/// Which cells, how often, under what load.
#[derive(Debug)]
pub(crate) struct Options {
    groups: Vec<Group>,
    pub(crate) repeats: usize,
    pub(crate) under_load: bool,
    /// Of the virtual boards' cables: of the first run; each further one has the next.
    pub(crate) seed: u64,
}

impl Options {
    /// # Errors
    /// What is neither an option nor a group.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            groups: Vec::new(),
            repeats: 1,
            under_load: false,
            seed: fresh_seed(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // What cargo says, and what this program says to itself.
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

    /// Whether these cells are asked for; where none are named, all are.
    pub(crate) fn include(&self, group: Group) -> bool {
        self.groups.is_empty() || self.groups.contains(&group)
    }
}

/// One that no run before has had, so that nothing is made to fit a handful; with few digits, for
/// who repeats it.
fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(1, |it| u64::from(it.subsec_micros()))
}
