//! Whole files, in and out.
