//! What the command line asks for.

use crate::Result;
use crate::cells::Group;

/// Which cells, how often, under what load.
#[derive(Debug)]
pub(crate) struct Options {
    groups: Vec<Group>,
    pub(crate) repeats: usize,
    pub(crate) under_load: bool,
}

impl Options {
    /// # Errors
    /// What is neither an option nor a group.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            groups: Vec::new(),
            repeats: 1,
            under_load: false,
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
