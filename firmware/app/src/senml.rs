//! The command `readings`: all sensors as one line of `SenML` JSON (RFC 8428).

use core::fmt::{self, Write};

use tcpctl_greeter::handler::Reply;

use crate::{Command, Context, Sensor};

/// Answers `readings`. The base name is the board's URN (RFC 9039 §4.1) and an underscore.
///
/// Records have no time, which means now. A sensor without a value has the reason as its string
/// value. Sensors that do not fit the reply are left out.
#[derive(Clone, Copy, Debug)]
pub struct Readings {
    /// MAC address of the board.
    pub mac: [u8; 6],
}

impl Command for Readings {
    fn name(&self) -> &'static str {
        "readings"
    }

    fn run(&self, _: &str, context: &Context<'_>, reply: &mut Reply<'_>) -> fmt::Result {
        let mac = self.mac;
        reply.write_str("[")?;
        let mut separator = "";
        for sensor in context.sensors {
            let end = reply.len();
            let mut record = || {
                write!(reply, "{separator}{{")?;
                if separator.is_empty() {
                    // A MAC becomes an EUI-64 by inserting ff:fe.
                    write!(
                        reply,
                        r#""bn":"urn:dev:mac:{:02x}{:02x}{:02x}fffe{:02x}{:02x}{:02x}_","#,
                        mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]
                    )?;
                }
                write_record(*sensor, reply)?;
                // Room for the end of the line.
                match reply.capacity() - reply.len() {
                    0..3 => Err(fmt::Error),
                    _ => Ok(()),
                }
            };
            match record() {
                Ok(()) => separator = ",",
                Err(fmt::Error) => reply.truncate(end),
            }
        }
        reply.write_str("]\n")
    }
}

fn write_record(sensor: &dyn Sensor, reply: &mut Reply<'_>) -> fmt::Result {
    write!(reply, r#""n":"{}""#, Name(sensor.name()))?;
    match sensor.read() {
        Ok(value) => {
            if !sensor.unit().is_empty() {
                write!(reply, r#","u":"{}""#, Unit(sensor.unit()))?;
            }
            write!(reply, r#","v":{value}}}"#)
        }
        Err(error) => write!(reply, r#","vs":"{error}"}}"#),
    }
}

/// A name, with an underscore for every character that `SenML` does not allow.
struct Name<'n>(&'n str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| {
            let is_allowed = character.is_ascii_alphanumeric()
                || matches!(character, '-' | ':' | '.' | '/' | '_');
            f.write_char(if is_allowed { character } else { '_' })
        })
    }
}

/// A unit, without characters that JSON would escape.
struct Unit<'n>(&'n str);

impl fmt::Display for Unit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowed = self
            .0
            .chars()
            .filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\'));
        allowed
            .into_iter()
            .try_for_each(|character| f.write_char(character))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::Fixed;
    use crate::{Number, SensorError};
    use proptest::prelude::*;
    use std::string::{String, ToString};
    use std::vec;
    use std::vec::Vec;
    use tcpctl_greeter::counters::Counters;

    const MAC: [u8; 6] = [0x84, 0xf7, 0x03, 0x1a, 0x0b, 0x3c];

    struct Missing;

    impl Sensor for Missing {
        fn name(&self) -> &'static str {
            "temperature"
        }
        fn unit(&self) -> &'static str {
            "Cel"
        }
        fn read(&self) -> Result<Number, SensorError> {
            Err(SensorError::NoSensor)
        }
    }

    fn readings(sensors: &[&dyn Sensor], capacity: usize) -> String {
        let mut buffer = vec![0; capacity];
        let mut reply = Reply::new(&mut buffer);
        let context = Context {
            sensors,
            counters: &Counters::default(),
        };
        Readings { mac: MAC }.run("", &context, &mut reply).unwrap();
        reply.as_str().to_string()
    }

    #[test]
    fn readings_are_one_line_of_senml() {
        let humidity = Fixed::new("humidity", "%RH", Number::new(-405, 1));
        assert_eq!(
            readings(&[&Missing, &humidity], 512),
            "[{\"bn\":\"urn:dev:mac:84f703fffe1a0b3c_\",\"n\":\"temperature\",\"vs\":\"no sensor\"},\
             {\"n\":\"humidity\",\"u\":\"%RH\",\"v\":-40.5}]\n"
        );
        assert_eq!(readings(&[], 512), "[]\n");
    }

    proptest! {
        #[test]
        fn any_sensors_and_buffer_give_valid_json(
            names in proptest::collection::vec(any::<(String, String, i64, u8)>(), 0..20),
            capacity in 3..600_usize,
        ) {
            let sensors: Vec<_> = names
                .iter()
                .map(|(name, unit, value, decimals)| {
                    Fixed::new(name, unit, Number::new(*value, *decimals))
                })
                .collect();
            let sensors: Vec<&dyn Sensor> = sensors.iter().map(|it| it as &dyn Sensor).collect();
            let text = readings(&sensors, capacity);
            prop_assert!(text.len() <= capacity);
            let records: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
            prop_assert!(records.len() <= sensors.len());
            if let Some(first) = records.first() {
                prop_assert_eq!(&first["bn"], "urn:dev:mac:84f703fffe1a0b3c_");
            }
        }
    }
}
