"""Stage nights with a trained model: `python evaluate.py model=runs/.../checkpoints/best.ckpt`."""

if __name__ == "__main__":
    # not at the top: the processes that prepare nights import this file, and need none of it
    from sleep_lab.commands.evaluate import main

    main()
