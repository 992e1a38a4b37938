//! `tcpctl flash` against a board on a pseudo-terminal, see `tests/integration/common/loader`.

mod bundle;
mod by_hand;
mod checkout;
mod chips;
mod damage;
mod esptool;
mod figures;
mod flow;
mod keys;
mod ports;
mod refusals;
mod reset;
mod scene;
mod terminal;
