//! Nothing but tests of the program: searches on workers, here, over ssh and over Slurm; networks with heads.
