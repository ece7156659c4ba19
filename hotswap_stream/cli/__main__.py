"""`python -m hotswap_stream.cli`: the command line without the installed script, for child processes."""

from hotswap_stream.cli import main

if __name__ == "__main__":
    main()
