//! Simulated sensors, for virtual boards and tests.

use core::cell::Cell;

use crate::{Number, Sensor, SensorError};

/// A sensor with a constant value.
#[derive(Clone, Copy, Debug)]
pub struct Fixed<'n> {
    name: &'n str,
    unit: &'n str,
    value: Number,
}

impl<'n> Fixed<'n> {
    /// A sensor with this value.
    pub const fn new(name: &'n str, unit: &'n str, value: Number) -> Self {
        Self { name, unit, value }
    }
}

impl Sensor for Fixed<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn unit(&self) -> &str {
        self.unit
    }

    fn read(&self) -> Result<Number, SensorError> {
        Ok(self.value)
    }
}

/// A sensor whose value changes by at most one step per reading and stays near its start. The same
/// seed gives the same values.
#[derive(Clone, Debug)]
pub struct RandomWalk<'n> {
    name: &'n str,
    unit: &'n str,
    decimals: u8,
    start: i64,
    range: i64,
    value: Cell<i64>,
    random: Cell<u64>,
}

impl<'n> RandomWalk<'n> {
    /// A walk around `start`, at most `range` away from it, both in units of the last decimal.
    pub const fn new(
        name: &'n str,
        unit: &'n str,
        start: i64,
        range: i64,
        decimals: u8,
        seed: u64,
    ) -> Self {
        Self {
            name,
            unit,
            decimals,
            start,
            range,
            value: Cell::new(start),
            // A xorshift generator never leaves the state zero.
            random: Cell::new(seed | 1 << 63),
        }
    }
}

impl Sensor for RandomWalk<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn unit(&self) -> &str {
        self.unit
    }

    fn read(&self) -> Result<Number, SensorError> {
        // xorshift64
        let mut random = self.random.get();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        self.random.set(random);
        let step = match random >> 32 & 3 {
            0 => -1,
            1 => 1,
            _ => 0,
        };
        let (low, high) = (self.start - self.range, self.start + self.range);
        self.value.set((self.value.get() + step).clamp(low, high));
        Ok(Number::new(self.value.get(), self.decimals))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn random_walk_is_bounded_and_repeatable() {
        let walk = |seed| {
            let sensor = RandomWalk::new("t", "Cel", 215, 3, 1, seed);
            (0..1000)
                .map(|_| sensor.read().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(walk(7), walk(7));
        assert_ne!(walk(7), walk(8));
        let mut seen: Vec<_> = walk(7)
            .into_iter()
            .map(|number| std::format!("{number}"))
            .collect();
        seen.sort();
        seen.dedup();
        assert_eq!(
            seen,
            ["21.2", "21.3", "21.4", "21.5", "21.6", "21.7", "21.8"]
        );
    }
}
