"""Write molecules.smi: the molecules of the CHNO potentials. Needs RDKit.

    python make_molecules.py

Hand-written molecules, and scaffolds whose attachment points R carry hand-written substituents, drawn
with a seed. Neutral, closed-shell, H, C, N and O, at most 20 heavy atoms; canonical and distinct (without
stereochemistry). One line for each: SMILES, name, class, and `test` for those that training never sees:
the ones of heldout.smi and a random 8 % of the rest.
"""

from __future__ import annotations

import random
from pathlib import Path

from rdkit import Chem, RDLogger
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

SEED = 20261121
TOTAL = 2200  # molecules, held-out ones included
HELD_OUT_SHARE = 0.08
LARGEST = 20  # heavy atoms
SOLVENTS = {
    "O": "water",
    "CO": "methanol",
    "CCO": "ethanol",
    "CC#N": "acetonitrile",
    "c1ccccc1": "benzene",
    "CC(C)=O": "acetone",
}  # always in training
FULL_SHARE = 14  # heavy atoms; drawn molecules with fewer are kept in proportion to their size

COMMON = """
N O C CC CCC CC(C)C CCCCC CC(C)CC CC(C)(C)C CCCCCC CCC(C)CC CC(C)C(C)C CCCCCCC CCCCCCCC
CC(C)CC(C)(C)C CCCCCCCCCC CCCCCCCCCCCC C=C C=CC C=C(C)C CC=CC C/C=C/C C=CC=C C=C=C C=C(C)C=C
C=CCC=C CC(C)=C(C)C C=CC=CC=C C=CCCCC C#C C#CC CC#CC C#CC=C C#CC#C CC#CC#CC C#CCCC C1CC1 C1CCC1
C1CCCC1 C1CCCCC1 C1CCCCCC1 C1CCCCCCC1 CC1CC1 CC1CCCCC1 C1=CC1 C1=CCC1 C1=CCCC1 C1=CCCCC1 C1=CC=CC1
C1=CCC=CC1 C1=CC=CC=CC1 C=C1CCCCC1 C=C1C=CC=C1 C1CC12CC2 C1CC2CC12 C1CCC2CCCCC2C1 C1CC2CCC1C2
C1=CC2CCC1C2 C1=CC2C=CC1C2 C1C2CC3CC1CC(C2)C3 C1CC2CCC1CC2 C1CCC2(CC1)CCCC2 C1C2CC1C2 C1CC11CCC1
C12C3C4C1C5C2C3C45 c1ccccc1 Cc1ccccc1 CCc1ccccc1 Cc1ccccc1C Cc1cccc(C)c1 Cc1ccc(C)cc1
CC(C)c1ccccc1 Cc1cc(C)cc(C)c1 C=Cc1ccccc1 C#Cc1ccccc1 c1ccc2ccccc2c1 c1ccc2cc3ccccc3cc2c1
c1ccc2c(c1)ccc1ccccc12 c1ccc2c(c1)CCC2 c1ccc2c(c1)C=CC2 c1ccc2c(c1)CCCC2 c1ccc2c(c1)Cc1ccccc1-2
C1=CC2=CC=CC2=C1 c1ccc2cccc-2cc1 c1cc2ccc3cccc4ccc(c1)c2c34 c1ccc(Cc2ccccc2)cc1
c1ccc(CCc2ccccc2)cc1 c1ccc(C=Cc2ccccc2)cc1 c1ccc(C#Cc2ccccc2)cc1 CO CCO CCCO CC(C)O CCCCO CC(C)CO
CC(C)(C)O CCCCCO OCCO OCC(O)CO CC(O)CO OCCCO C=CCO C#CCO OC1CCCCC1 OC1CCCC1 OCc1ccccc1 COC CCOC
CCOCC COCCOC C1CO1 C1COC1 C1CCOC1 C1CCOCC1 C1COCCO1 C1COCO1 C1OCOCO1 COCOC C=COC COc1ccccc1
C1=COCC1 c1ccc(Oc2ccccc2)cc1 CC(C)OC(C)C COC(C)(C)C C=O CC=O CCC=O CCCC=O CC(C)C=O C=CC=O C#CC=O
O=CC=O O=Cc1ccccc1 CC(C)=O CCC(C)=O CCC(=O)CC CC(=O)C(C)C CC(=O)C(C)=O CC(=O)CC(C)=O C=CC(C)=O
O=C1CC1 O=C1CCC1 O=C1CCCCC1 O=C1C=CCCC1 CC(=O)c1ccccc1 O=C(c1ccccc1)c1ccccc1 O=C1C=CC(=O)C=C1
O=C1C=CC(=O)c2ccccc21 C=C=O CC=C=O O=C=O O=C=C=C=O O=CO CC(=O)O CCC(=O)O CCCC(=O)O CC(C)C(=O)O
C=CC(=O)O OC(=O)C(=O)O OC(=O)CC(=O)O OC(=O)CCC(=O)O OC(=O)C=CC(=O)O CC(O)C(=O)O OCC(=O)O
CC(=O)C(=O)O OC(=O)c1ccccc1 OC(=O)c1ccccc1O O=C(O)Cc1ccccc1 O=C(O)C=Cc1ccccc1 OC(=O)C(O)C(O)C(=O)O
COC=O CCOC(C)=O COC(=O)C=C COC(=O)C(C)=C CC(=O)OC=C COC(=O)c1ccccc1 CC(=O)Oc1ccccc1 COC(=O)OC
O=C1OCCO1 O=C1CCO1 O=C1CCCO1 O=C1CCCCO1 O=c1cccco1 O=c1ccc2ccccc2o1 CC(=O)OC(C)=O O=C1CCC(=O)O1
O=C1C=CC(=O)O1 O=C1OC(=O)c2ccccc12 CN CCN CC(C)N CCCCN CC(C)(C)N CNC CCNCC CN(C)C CCN(CC)CC NCCN
NCCCN CNCCNC NCCO CN(C)CCO OCCNCCO C1CN1 C1CNC1 C1CCNC1 C1CCNCC1 C1CNCCN1 C1COCCN1 CN1CCCCC1
CN1CCCC1 CN1CCOCC1 C1CCNCCC1 C1CN2CCN1CC2 C1CN2CCC1CC2 C=CCN C#CCN NC1CCCCC1 NC1CC1 Nc1ccccc1
CNc1ccccc1 CN(C)c1ccccc1 c1ccc(Nc2ccccc2)cc1 NCc1ccccc1 NCCc1ccccc1 Nc1ccccc1N Nc1ccc(N)cc1
Nc1ccc(O)cc1 C=N CC=N CC(C)=N CN=C CC=NC C=NN CC(C)=NC c1ccccc1C=Nc1ccccc1 C1CC=NC1 NC=N NC(=N)N
CC(N)=N CN=C(N)N NC(=N)c1ccccc1 C#N CC#N CCC#N CCCC#N CC(C)C#N N#CC#N N#CCC#N N#CCCC#N C#CC#N
N#Cc1ccccc1 N#CCc1ccccc1 NCC#N OCC#N N#CC(C#N)=C [C-]#[N+]C [C-]#[N+]c1ccccc1 CN=C=O O=C=NC1CCCCC1
O=C=Nc1ccccc1 N=C=O NC#N CN(C)C#N OC#N COC#N CC#[N+][O-] N#CC=O NC=O CNC=O CN(C)C=O CNC(C)=O
CN(C)C(C)=O CCC(N)=O NC(=O)c1ccccc1 CC(=O)Nc1ccccc1 C=CC(N)=O NC(=O)C(N)=O O=C1CCN1 O=C1CCCN1
O=C1CCCCN1 CN1CCCC1=O O=C1CCCCCN1 O=C1CCC(=O)N1 O=C1C=CC(=O)N1 O=c1cccc[nH]1 NC(N)=O CNC(=O)NC
CN(C)C(=O)N(C)C O=C1NCCN1 NC(=O)NC(N)=O COC(N)=O COC(=O)NC O=C1NCCO1 CCOC(N)=O NC(=O)NO
O=C1NC(=O)C(=O)N1 O=C1CNC(=O)N1 O=C1CC(=O)NC(=O)N1 NC(=O)CC(N)=O C[N+](=O)[O-] CC(C)[N+](=O)[O-]
O=[N+]([O-])c1ccccc1 Cc1ccc([N+](=O)[O-])cc1 C=C[N+](=O)[O-] O=[N+]([O-])c1cccc([N+](=O)[O-])c1
CO[N+](=O)[O-] CON=O C[N+](C)(C)[O-] C[n+]1ccccc1[O-] [O-][n+]1ccccc1 CC=[N+](C)[O-] CN(C)N=O CN=O
O=Nc1ccccc1 O=[N+]([O-])O NN CNN CN(C)N CNNC NNc1ccccc1 CC(=O)NN NNC(N)=O C=NNC CC=NN CN=NC
C=[N+]=[N-] CC=[N+]=[N-] CN=[N+]=[N-] [N-]=[N+]=Nc1ccccc1 [N-]=[N+]=NCc1ccccc1 NO CNO CON CN(C)O
CNOC C=NO CC=NO CC(C)=NO CC=NOC ON=C1CCCCC1 ON=Cc1ccccc1 CC(=NO)C(C)=NO CC(=O)NO ONC=O OO COO COOC
CC(C)(C)OO CC(=O)OO C1OO1 C1COO1 OOC1CCCCC1 CC(C)(C)OOC(C)(C)C C1OCOO1 c1ccoc1 Cc1ccco1 O=Cc1ccco1
c1ccc2occc2c1 Cn1cccc1 c1ccc2[nH]ccc2c1 Cc1c[nH]c2ccccc12 c1ccncc1 Cc1ccccn1 Cc1ccncc1 c1ccnnc1
c1cncnc1 c1cnccn1 c1ncncn1 c1cn[nH]c1 c1cnc[nH]1 Cn1ccnc1 Cn1cccn1 c1nc[nH]n1 c1c[nH]nn1
c1nnn[nH]1 Cn1cnnn1 c1cocn1 c1cnoc1 c1cnon1 c1nnco1 Cc1noc(C)n1 Cc1cc(C)on1 c1ccc2ncccc2c1
c1ccc2cnccc2c1 c1ccc2nccnc2c1 c1ccc2ncncc2c1 c1ccc2[nH]cnc2c1 c1ccc2[nH]ncc2c1 c1ccc2ocnc2c1
c1ccc2oncc2c1 c1ccc2[nH]nnc2c1 c1cnc2ncncc2n1 c1ncc2[nH]cnc2n1 c1cnc2[nH]ccc2c1
c1ccc2c(c1)[nH]c1ccccc12 c1ccc2nc3ccccc3cc2c1 c1ccc2c(c1)oc1ccccc12 c1ccc(-c2ccccn2)nc1
c1cncc(-c2ccccc2)c1 c1ccn2cccc2c1 c1cn2ccccc2n1 c1ccc2c(c1)OCO2 c1ccc2c(c1)OCCO2
Cc1c[nH]c(=O)[nH]c1=O Nc1cc[nH]c(=O)n1 Nc1nc2[nH]cnc2c(=O)[nH]1 O=c1[nH]cnc2[nH]cnc12
O=c1[nH]c(=O)c2[nH]cnc2[nH]1 Cn1ccc(=O)[nH]c1=O Cn1cnc2c(N)ncnc21 Cn1cc(C)c(=O)[nH]c1=O
Cn1ccc(N)nc1=O CNc1ncnc2[nH]cnc12 Nc1ncnc(N)n1 Nc1nc(N)nc(N)n1 Nc1ccncn1 Nc1ccccn1 Nc1ncccn1
CC(N)C(=O)O CC(C)C(N)C(=O)O CC(C)CC(N)C(=O)O CCC(C)C(N)C(=O)O NC(CO)C(=O)O CC(O)C(N)C(=O)O
NC(=O)CC(N)C(=O)O NC(=O)CCC(N)C(=O)O NC(CC(=O)O)C(=O)O NC(CCC(=O)O)C(=O)O NCCCCC(N)C(=O)O
NC(=N)NCCCC(N)C(=O)O NC(Cc1ccccc1)C(=O)O NC(Cc1ccc(O)cc1)C(=O)O NC(Cc1c[nH]c2ccccc12)C(=O)O
NC(Cc1cnc[nH]1)C(=O)O O=C(O)C1CCCN1 NCCC(=O)O NCCCC(=O)O CNCC(=O)O CN(C)CC(=O)O NCC(=O)NCC(=O)O
CC(N)C(=O)NCC(=O)O NCC(=O)NC(C)C(=O)O CC(N)C(=O)NC(C)C(=O)O CC(=O)NCC(=O)NC CC(=O)NCC(N)=O
CC(=O)NC(CO)C(=O)NC CC(=O)NC(C(C)C)C(=O)NC CC(=O)NC(Cc1ccccc1)C(=O)NC CC(=O)N1CCCC1C(=O)NC
CC(=O)NC(CC(N)=O)C(=O)NC CC(=O)NC(C)(C)C(=O)NC O=C1CNC(=O)CN1 CC1NC(=O)CNC1=O CC1NC(=O)C(C)NC1=O
NCC(=O)NCC(=O)NCC(=O)O CC(=O)NC(CC(=O)O)C(=O)NC CC(=O)NC(Cc1c[nH]cn1)C(=O)NC CC(=O)NC(CO)C(N)=O
OCC(O)C=O OCC(=O)CO OCC(O)C(O)C=O OCC1OC(O)C(O)C1O OC1COC(O)C(O)C1O OCC1OC(O)CC1O OCC(O)C(O)C(O)CO
OC1CCCO1 OC1CCCCO1 COC1OCC(O)C(O)C1O OCC1(O)OCC(O)C(O)C1O COC1OC(CO)C(O)C(O)C1O
OC1C(O)C(O)C(O)C(O)C1O CC1OC(O)C(O)C(O)C1O OCC1OCCC1O OCC1CCCO1 O=C1OC(CO)C(O)=C1O
CC1CCC(C(C)C)C(O)C1 CC(C)=CCCC(C)=CCO CC1=CCC(=O)CC1 CC1=CC(=O)CC(C)(C)C1 CC1(C)C2CCC(C)C1C2
CC1=CCC2CC1C2(C)C CC(C)C1CCC(C)CC1=O CC12CCC(CC1)C(C)(C)O2 COc1cc(CC=C)ccc1O Cc1ccc(C(C)C)c(O)c1
Oc1ccccc1O Oc1cccc(O)c1 Oc1ccc(O)cc1 Cc1ccccc1O Oc1cccc2ccccc12 Oc1c(C)cccc1C CC(C)(C)c1ccc(O)cc1
Cc1cccnc1 NC(=O)c1cccnc1 OC(=O)c1cccnc1 Cc1ncc(CO)c(CO)c1O NCCc1cnc[nH]1 CN1CCC23CCC1C2C3
CN1C2CCC1CC(O)C2 CC(=O)OCC[N](C)C OCCN1CCOCC1 CN1CCCC1=N COc1ccc(CCN)cc1 CNC(C)C(O)c1ccccc1
CC(=O)C(N)c1ccccc1 CCOC(=O)C1CCCN1 CC(C)NCC(O)COc1ccccc1 CCNC(=O)c1ccc(N)cc1 CN(C)CCOC(=O)c1ccccc1
CC1(C)OCC(CO)O1 CC(C)(O)C#C CC(=O)CC(C)(C)O CC(O)CC(C)O CC(=O)OCCO CCOC(=O)CC(C)=O
CCOC(=O)CC(=O)OCC COC(=O)CC#N CC(O)C#N COC(OC)OC COC(C)(C)OC CC(OC)OC O=C(OC)C1=CNC=CC1
CC1=C(C(=O)OC)CC=CN1 CN1C=CCC(C(N)=O)=C1 C1=CNC=CC1 N=C1C=CC=CN1 O=C1C=CNC=C1 O=c1cc[nH]cc1
O=c1ccocc1 Oc1ccncc1 Oc1ccccn1
""".split()

# R: hydrogen or a substituent
SCAFFOLDS = """
RCCR RCCCR RCC(R)CR RC(R)(C)CR RCCCCR RCCCCCR RC=CR RC(=C)R RC=C(C)R RC(R)=CR RC=CC=CR RC#CR
RCC#CR RCC=CR RC1CC1R RC1CC1(R)C RC1CCC1R RC1(R)CC1 RC1CCCC1R RC1CCC(R)C1 RC1CCCCC1R RC1CCC(R)CC1
RC1(R)CCCCC1 RC1=CCCCC1R RC1=CCCC1R RC1CC=CC1R RC1CCCCCC1R RC1CC2CCC1C2R RC12CCC(R)(CC1)CC2
RC1C2CCC1CC2R RC12CC(R)(C1)C2 RC1CC2(C1)CCC2R RC1CCC2(CC1)OCCO2 RC1CC2(C1)CNC2R
RC12CC3CC(CC(C3)C1)C2R c1cc(R)ccc1R c1ccc(R)c(R)c1 c1cc(R)cc(R)c1 Rc1cc(R)cc(R)c1 Rc1ccc(R)c(R)c1
Rc1cccc2cccc(R)c12 Rc1ccc2cc(R)ccc2c1 RCc1ccc(R)cc1 RC(R)c1ccccc1R RCCc1ccc(R)cc1
Rc1ccc(-c2ccc(R)cc2)cc1 Rc1ccccc1-c1ccccc1R RC1Cc2ccccc2C1R RC1CCc2cc(R)ccc2C1 Rc1ccc2c(c1)CCC2R
Rc1ccoc1R Rc1ccc(R)o1 Rc1cc[nH]c1R Rc1ccc(R)[nH]1 Rc1cccn1R Rc1ccncc1R Rc1ccc(R)nc1 Rc1cccc(R)n1
Rc1cc(R)ncn1 Rc1cnc(R)nc1 Rc1cnc(R)cn1 Rc1ccc(R)nn1 Rc1cc(R)n(R)n1 Rc1cnn(R)c1 Rc1cn(R)cn1
Rc1ncc(R)[nH]1 Rc1nc(R)n(R)n1 Rc1cn(R)nn1 Rc1nnn(R)n1 Rc1cnc(R)o1 Rc1cc(R)on1 Rc1noc(R)n1
Rc1nnc(R)o1 Rc1ccc2[nH]cc(R)c2c1 Rc1cn(R)c2ccccc12 Rc1ccc2ncc(R)cc2c1 Rc1nc2ccccc2n1R
Rc1nn(R)c2ccccc12 Rc1ccc2occ(R)c2c1 Rc1nc2ccccc2o1 Rc1cnc2ccccc2n1 Rc1ncnc2ccccc12
Rc1nc(R)c2nc[nH]c2n1 Rc1ccn2ccnc2c1R Rc1ccnc2[nH]cc(R)c12 Rc1nc(R)nc(R)n1 Rc1cccc(-c2ccccn2)c1
Rc1ccc(-c2ccno2)cc1 Rc1ccc(-n2cccn2)cc1 Rc1ccc(-c2ncc[nH]2)cc1 RN1CCCC1R RN1CCC(R)CC1 RN1CCN(R)CC1
RN1CCOC(R)C1 RC1CCOC1R RC1CCOCC1R RC1COC(R)O1 RC1CN1R RC1OC1R RN1CC(R)C1 RC1COC1R RN1CC2CC1C2R
RN1CC2CCC1CC2R RC1CC2CCC1(R)O2 RN1CCc2ccc(R)cc2C1 RN1CC=CC1R RN1CCCCC1R RC1CCCCN1R RN1CCCCCC1R
RC1COCCO1 RC(=O)R RC(=O)CR RCC(=O)CR RC(=O)C(R)R RC(=O)C=CR RC(=O)C(=O)R RC(=O)CC(=O)R
RC1CCC(=O)C1R RC1CCCC(=O)C1R RC1=CC(=O)CCC1R RC(=O)c1ccc(R)cc1 RC1CC(=O)C1R RC1=CC(=O)C(R)=CC1=O
O=C1CCC(R)(R)CC1 RCC=O RC(R)C=O RC=CC=O Rc1ccc(C=O)cc1R RC(O)CR RC(O)C(O)R RC(R)(O)CR RCC(O)CO
RC1CC(O)C1R RC1CCC(O)CC1R OCC1CCC(R)O1 OC1CC(R)OC1R Rc1ccc(O)c(R)c1 Rc1ccc(CO)cc1R RCOCR RCOCCOR
RCOC(R)C RC(OC)OC Rc1ccc(OCR)cc1 RC=COR RC(R)OCC RCOC=C RC(=O)O RCC(=O)O RC(R)C(=O)O RC=CC(=O)O
Rc1ccc(C(=O)O)cc1R OC(=O)C1CCC(R)C1R RC(=O)OCR RCC(=O)OCR RC(=O)OC(R)C RC(=O)Oc1ccc(R)cc1
COC(=O)c1ccc(R)cc1R COC(=O)C(R)CR COC(=O)C=CR O=C1CC(R)CO1 O=C1CCC(R)CO1 O=C1OCC(R)O1
RC1=CC(=O)OC1R Rc1ccc2ccc(=O)oc2c1R RC(=O)OC(=O)R O=C1OC(=O)C(R)C1R RCOC(=O)OCR RC(=O)NR
RCC(=O)NCR RC(=O)N(C)CR RC(=O)N(R)R NC(=O)C(R)R RC(=O)Nc1ccc(R)cc1 RNC(=O)c1ccc(R)cc1
RC(=O)N1CCCC1R RC(=O)N1CCC(R)CC1 RN1CCC(R)C1=O RN1CCCC(R)C1=O RC1C(R)C(=O)N1 RN1C(=O)CC(R)C1=O
RN1C(=O)C=C(R)C1=O Rc1ccc(=O)n(R)c1 RN1C(=O)NC(R)C1=O RNC(=O)NR RN(C)C(=O)NR RNC(=O)N1CCC(R)C1
RN1CCN(R)C1=O RNC(=O)OCR ROC(=O)N1CCC(R)C1 RN1CC(R)OC1=O RNC(=O)C(=O)NR RC(=O)NC(R)C(=O)NR
NC(R)C(=O)NC(R)C(=O)O CC(=O)NC(CR)C(=O)NR O=C1NC(=O)C(R)(R)C(=O)N1 Rc1cn(R)c(=O)[nH]c1=O
Rc1cc(=O)[nH]c(R)n1 Rc1cc(=O)n(R)cn1 O=C1NC(R)=NC1R RC(=O)NO RC(=O)NOCR RC(=O)NNR RC(=O)NNC(=O)R
RNCCR RN(R)CCR RC(R)NCC RNCCNR RN(C)CCOR RC(N)CR RC(R)(N)CR NC1CCC(R)CC1R NCC1CCC(R)O1
Rc1ccc(N)cc1R Rc1ccc(N(C)R)cc1 RNc1ccc(R)cc1 RNc1ccncc1R RCNCc1ccc(R)cc1 NC(R)C(=O)O NC(CR)C(=O)O
NC(R)CC(=O)O RNCC(=O)O NC(CR)C(=O)NR NC(CR)CO RC=NR RC(R)=NR RC=Nc1ccc(R)cc1 RC(=NO)R RC(C)=NOCR
RC=NNR RC(R)=NN RC(C)=NNC(=O)R RC(=N)NR RN=C(N)NR RC(N)=NO RC1=NCCN1R RC1=NCC(R)O1 RC1=NOC(R)C1
RC1=NNC(R)C1 RN=NR RN=Nc1ccc(R)cc1 RNNR RN(R)N RNNc1ccccc1R RCC#N RC(R)C#N RC=CC#N Rc1ccc(C#N)cc1R
RC(C#N)C#N N#CC1CCC(R)C1 RCCC#N RC(O)C#N RN(R)CC#N RC[N+](=O)[O-] RC(R)[N+](=O)[O-]
RC=C[N+](=O)[O-] Rc1ccc([N+](=O)[O-])cc1R Rc1cccc([N+](=O)[O-])c1R RN(R)[N+](=O)[O-]
RCO[N+](=O)[O-] RN(R)N=O [O-][n+]1ccc(R)cc1R RC=[N+](R)[O-] RN(R)CCO RC[N+](C)(C)[O-]
[O-][n+]1ccccc1R RCN=[N+]=[N-] RC(R)N=[N+]=[N-] Rc1ccc(N=[N+]=[N-])cc1 RCN=C=O RC(=O)C=[N+]=[N-]
ROOR RC(R)OO RCOOCR RC(=O)OOR RC1COOC1R C=C=C(R)R RC=C=CR RC=C=O RCONR RN(R)OR OCC1OC(R)C(O)C1R
OCC1OC(R)CC1O OC1C(R)OCC(O)C1R OCC1OC(n2ccc(=O)[nH]c2=O)CC1R COC1C(R)OC(CO)C1R
""".split()

# A substituent written twice is drawn twice as often.
SUBSTITUENTS = """
C C C C CC CC CCC C(C)C C(C)(C)C CCCC C=C CC=C C#C CC#C C7CC7 C7CCC7 C7CCCC7 C7CCCCC7 c7ccccc7
c7ccccc7 Cc7ccccc7 c7ccc(C)cc7 O O O O OC OC OCC CO CO CCO C(C)O COC CCOC OC(C)C OC=C OCC#C
Oc7ccccc7 OCc7ccccc7 N N N NC NC N(C)C N(C)C CN CCN CNC CN(C)C NCC N7CCCC7 N7CCOCC7 N7CCCCC7
NCc7ccccc7 Nc7ccccc7 C=O C=O C(C)=O C(C)=O C(=O)CC CC(C)=O C(=O)O C(=O)O CC(=O)O C(=O)OC C(=O)OC
C(=O)OCC OC(C)=O OC=O CC(=O)OC C(=O)c7ccccc7 C(N)=O C(N)=O C(=O)NC C(=O)N(C)C NC(C)=O NC=O NC(N)=O
NC(=O)OC OC(N)=O CNC(C)=O N(C)C(C)=O CC(N)=O NC(=O)NC C#N C#N CC#N [N+](=O)[O-] [N+](=O)[O-]
C[N+](=O)[O-] O[N+](=O)[O-] N=C=O N=[N+]=[N-] C=NO C(C)=NO C=NC N=C N=CN(C)C C(=N)N NN ON NO NN=C
N=O OO OOC C=NN N(C)N c7ccco7 c7ccncc7 c7cccnc7 n7cccc7 n7ccnc7 c7ccc[nH]7 c7ncc[nH]7 c7ncco7
c7ccccn7 n7cccn7 c7cnccn7 C7CO7 C7CCCO7 c7ccc(O)cc7 c7ccc(N)cc7 c7ccc(OC)cc7 C7CCCN7 C7CN7 C7OCCO7
""".split()

# The first pattern that a molecule has is its class, in the tables of errors.
CLASSES = [
    ("azides_diazo_isocyanates", ("[N-]=[N+]", "N=C=O", "[C-]#[N+]")),
    ("nitro_nitroso_N-oxides", ("[N+][O-]", "[n+][O-]", "[NX2]=[OX1]")),
    ("peroxides", ("[OX2][OX2]",)),
    ("peptides_amino_acids", ("[NX3;!$(NC=O)][CX4]C(=O)[OH]", "C(=O)N[CX4]C(=O)[N,OH]")),
    ("sugars", ("[OH][CX4;R][CX4;R]O", "[OH]C[CX4;R]O[CX4;R]", "OCC(O)C(O)[C,O]")),
    ("hydrazines_oximes_azo", ("[N;!R]-[N,n]", "[NX2]-[OX2]", "[NX3]-[OX2]", "N=N")),
    ("ureas_carbamates_imides", ("[N,n]C(=O)[N,O]", "C(=O)[N]C(=O)")),
    ("amides", ("C(=O)[NX3]",)),
    ("acids", ("C(=O)[OH]",)),
    ("esters_anhydrides", ("C(=O)O",)),
    ("imines_amidines", ("[CX3]=[NX2]",)),
    ("nitriles", ("C#N",)),
    ("heteroaromatics", ("[n,o]",)),
    ("aldehydes_ketones", ("[#6]=O",)),
    ("amines", ("[NX3]",)),
    ("alcohols_phenols_water", ("[OH]", "[OH2]")),
    ("ethers", ("[OX2]",)),
    ("aromatic_hydrocarbons", ("c",)),
    ("alkenes_alkynes", ("C=C", "C#C")),
    ("alkanes", ("[CX4]",)),
]


def canonical(smiles: str) -> str | None:
    """Canonical SMILES without stereochemistry, or None for what does not belong here."""
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or "." in smiles:
        return None
    atoms = list(molecule.GetAtoms())
    if not 1 <= sum(a.GetAtomicNum() > 1 for a in atoms) <= LARGEST:
        return None
    if any(a.GetAtomicNum() not in (1, 6, 7, 8) or a.GetNumRadicalElectrons() for a in atoms):
        return None
    if Chem.GetFormalCharge(molecule) != 0:
        return None
    return Chem.MolToSmiles(molecule, isomericSmiles=False)


def drawn(rng: random.Random) -> str | None:
    """Canonical SMILES of a scaffold with substituents, or None where it does not belong here."""
    scaffold = rng.choice(SCAFFOLDS)
    points = scaffold.count("R")
    pieces = []
    for k in range(1, points + 1):
        scaffold = scaffold.replace("R", f"[*:{k}]", 1)
        empty = rng.random() < (0.3 if points < 3 else 0.6)
        pieces.append(f"[*:{k}]" + ("[H]" if empty else rng.choice(SUBSTITUENTS)))
    molecule = Chem.MolFromSmiles(".".join([scaffold, *pieces]))
    if molecule is None:
        return None
    try:
        return canonical(Chem.MolToSmiles(Chem.RemoveHs(Chem.molzip(molecule))))
    except (ValueError, RuntimeError):
        return None


def heavy_atoms(smiles: str) -> int:
    """Number of atoms that are not hydrogen."""
    return Chem.MolFromSmiles(smiles).GetNumHeavyAtoms()


def class_of(smiles: str) -> str:
    """The name of the first pattern of CLASSES in the molecule; else `other`."""
    molecule = Chem.MolFromSmiles(smiles)
    for name, patterns in CLASSES:
        if any(molecule.HasSubstructMatch(Chem.MolFromSmarts(p)) for p in patterns):
            return name
    return "other"


def has_geometry(smiles: str) -> bool:
    """Whether RDKit finds a conformer and MMFF94 knows all its atoms."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed, parameters.maxIterations = SEED % 2**31, 50
    known = rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule)
    return known and rdDistGeom.EmbedMolecule(molecule, parameters) == 0


def main() -> None:
    """Write molecules.smi beside this file."""
    RDLogger.DisableLog("rdApp.*")
    folder, rng = Path(__file__).parent, random.Random(SEED)
    lines = [line.split() for line in (folder / "heldout.smi").read_text().splitlines()]
    named = {canonical(words[0]): words[1] for words in lines if words[0] != "#"}
    rest = [s for s in map(canonical, COMMON) if s not in named and s and has_geometry(s)]
    rest = list(dict.fromkeys(rest))
    found = set(rest) | set(named)
    while len(found) < TOTAL:
        smiles = drawn(rng)
        if not smiles or smiles in found or rng.random() > heavy_atoms(smiles) / FULL_SHARE:
            continue
        if has_geometry(smiles):
            found.add(smiles)
            rest.append(smiles)
    free = [s for s in rest if s not in SOLVENTS]
    held_out = set(named) | set(rng.sample(free, round(HELD_OUT_SHARE * len(free))))
    names = named | SOLVENTS
    with open(folder / "molecules.smi", "w") as stream:
        for smiles in sorted(found, key=lambda s: (heavy_atoms(s), s)):
            part = " test" if smiles in held_out else ""
            stream.write(f"{smiles} {names.get(smiles, smiles)} {class_of(smiles)}{part}\n")


if __name__ == "__main__":
    main()
