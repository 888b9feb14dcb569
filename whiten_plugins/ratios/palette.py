"""One colour for each statistic, the same in every table and figure.

The colours are Okabe and Ito's, which stay apart in the common kinds of
colour blindness; green, blue and red stand for BN, IN and LN as in SN Fig. 5.
"""

COLORS = {
    'bw': '#E69F00',
    'iw': '#56B4E9',
    'bn': '#009E73',
    'in': '#0072B2',
    'ln': '#D55E00',
    'stat1': '#CC79A7',
    'stat2': '#F0E442',
    'stat3': '#000000',
}
