"""Train a model: `python train.py encoder=simple_sleep reducer=attention`."""

if __name__ == "__main__":
    # not at the top: the processes that prepare nights import this file, and need none of it
    from sleep_lab.commands.train import main

    main()
