//! mobilenas.
