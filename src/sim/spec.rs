//! What a virtual board is to be: a profile and what is changed of it.
