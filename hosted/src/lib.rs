//! Runs the appliance on Linux: the model kernel in one process, each component in its own.
