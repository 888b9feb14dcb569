"""Shows which statistics every SN and SW layer of a checkpoint chose."""

import argparse

from whiten_plugins.ratios.report import write_report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'checkpoints',
        nargs='+',
        metavar='CHECKPOINT',
        help='training checkpoint or state dict; several are shown together',
    )
    parser.add_argument(
        '--out',
        required=True,
        metavar='DIR',
        help='folder for ratios.csv, ratios.json and ratios.png',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace these files if they are there already',
    )
    args = parser.parse_args()
    try:
        files = write_report(**vars(args))
    except (ValueError, OSError) as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')
    for file in files:
        print(file)


if __name__ == '__main__':
    main()
